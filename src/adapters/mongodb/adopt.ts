import { systemClock } from '../../kernel/clock.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { POSITION_ZERO } from '../../kernel/position.ts';
import { Throttle } from '../../kernel/throttle.ts';
import { type CollectionSpec, describeByUuid } from './catalog.ts';
import type { Cluster } from './cluster.ts';
import { MongoCopier } from './copier.ts';
import { type TrackedCollection, trackedOf } from './log/tracked.ts';
import type { Selection } from './namespaces.ts';
import { planChunks } from './partition.ts';
import { createCollection, createIndexes, dropCollection, splitIndexes } from './structure.ts';

const CHUNK_BYTES = 256 * 1024 * 1024;

/**
 * Takes in a collection that was renamed into the chosen namespaces: it was
 * never copied, so it is copied now, as it is now, and the log that follows is
 * replayed onto it.
 */
export async function adoptCollection(
  source: Cluster,
  target: Cluster,
  selection: Selection,
  uuid: string,
  db: string,
  name: string,
  signal: AbortSignal,
): Promise<TrackedCollection> {
  const from = await source.connectPrimary(signal);
  const to = await target.connectPrimary(signal);
  try {
    const start = await source.note({ adopt: 'start' });
    const found = await describeByUuid(from, db, uuid);
    const destination = selection.target(db, name);
    if (!found) return { ...ghostOf(uuid, db, name), target: destination };
    const spec: CollectionSpec = found;
    await dropCollection(to, destination);
    await createCollection(to, destination, spec);
    const copier = new MongoCopier({
      source,
      target,
      readFrom: 'primary',
      unit: () => ({ spec, target: destination }),
      notBefore: start,
      throttle: new Throttle(systemClock),
      rememberStart: () => undefined,
    });
    try {
      const chunks = await planChunks(source, from, spec, CHUNK_BYTES);
      for (const [id, chunk] of chunks.entries()) await copier.copy({ ...chunk, id }, () => undefined, signal);
    } finally {
      copier.close();
    }
    await createIndexes(to, destination, splitIndexes(spec.indexes).now, { deferred: true });
    const end = await source.note({ adopt: 'end' });
    return { ...trackedOf(spec, destination, start), source: { db, name }, fuzzyUntil: end };
  } catch (error) {
    if (error instanceof GodwitError) throw error;
    throw new GodwitError('GW9001', `Taking in ${db}.${name} failed`, { cause: error });
  } finally {
    from.close();
    to.close();
  }
}

/** It is gone again already: the log will say so, and until then its changes are passed over. */
function ghostOf(uuid: string, db: string, name: string): TrackedCollection {
  return {
    uuid,
    source: { db, name },
    target: { db, collection: name },
    skipUntil: POSITION_ZERO,
    fuzzyUntil: POSITION_ZERO,
    sequential: false,
    capped: false,
    ghost: true,
  };
}
