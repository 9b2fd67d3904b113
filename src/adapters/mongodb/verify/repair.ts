import { EJSON, serialize } from 'bson';
import type { Drift } from '../../../kernel/ports.ts';
import type { Cluster } from '../cluster.ts';
import type { TrackedCollection } from '../log/tracked.ts';
import type { WireConnection } from '../wire/connection.ts';
import { deleteKeys, insertDocuments } from '../write.ts';
import { repairZeroTimestamps } from '../zero-timestamps.ts';
import { readByKeys } from './recheck.ts';

/**
 * Copies documents that differ from the source to the target again, and
 * removes those the source does not have. The log must stand still at a
 * position that both sides have reached, or be replayed from before the
 * repair: the caller holds the applier still.
 * @returns documents written or removed
 */
export async function repairDrift(
  source: Cluster,
  target: Cluster,
  drift: readonly Drift[],
  collectionOf: (namespace: string) => TrackedCollection | undefined,
  signal: AbortSignal,
): Promise<number> {
  const from = await source.connectPrimary(signal);
  const to = await target.connectPrimary(signal);
  let repaired = 0;
  try {
    for (const [namespace, rows] of byUnit(drift)) {
      const collection = collectionOf(namespace);
      if (collection) repaired += await repairCollection(from, to, collection, rows);
    }
    return repaired;
  } finally {
    from.close();
    to.close();
  }
}

function byUnit(drift: readonly Drift[]): Map<string, Drift[]> {
  const units = new Map<string, Drift[]>();
  for (const row of drift) {
    if (row.kind === 'structure') continue;
    units.set(row.unit, [...(units.get(row.unit) ?? []), row]);
  }
  return units;
}

async function repairCollection(
  from: WireConnection,
  to: WireConnection,
  collection: TrackedCollection,
  rows: readonly Drift[],
): Promise<number> {
  const keys = rows.map((row) => Buffer.from(serialize({ _id: EJSON.parse(row.key, { relaxed: false }) })));
  const wanted = await readByKeys(from, collection.source, keys, Buffer.from(serialize({ level: 'majority' })));
  await deleteKeys(to, collection.target, keys);
  const docs = Buffer.concat([...wanted.values()]);
  await insertDocuments(to, collection.target, docs, wanted.size, { ordered: false, majority: true });
  await repairZeroTimestamps(to, collection.target, docs);
  return rows.length;
}
