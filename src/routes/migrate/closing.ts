import { dropCollection, OplogSource, readCatalog } from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { Position } from '../../kernel/position.ts';
import { withRetry } from '../../kernel/retry.ts';
import { makeFence } from './fences.ts';
import { prove } from './proving.ts';
import { type CutoverRecord, KEY, type RunContext } from './run-context.ts';
import { sidesOf } from './sides.ts';

/** Closes the way back: proves once more that both sides are equal, and ends the flow to the source. */
export async function confirm(run: RunContext): Promise<void> {
  if (!run.link) throw new GodwitError('GW9001', 'A confirmation without a flow back');
  const drift = await prove(run, run.link, sidesOf(run, 'reverse'));
  if (drift.length > 0) {
    throw new GodwitError('GW6001', `${drift.length} differences between target and source; not confirmed`, {
      details: { drift: drift.length },
    });
  }
  failpoint('cutover.before-confirm');
  await run.link.catchUp(run.signal);
  await run.link.stop();
  run.link = undefined;
  // What the source's log shows after this is not ours: the flow back has ended.
  const position = await withRetry(run.retry(), () => run.source.note({ confirmed: run.store.run }));
  run.store.enter('confirmed', 'confirmed', () => run.store.set(KEY.confirmedAt, position));
}

/**
 * Deletes the business's data at the source, by a written plan. The fresh
 * proof: both sides were equal at the confirmation, the source's log shows no
 * write since, and the target still has every collection.
 */
export async function cleanUp(run: RunContext, consent: string | undefined): Promise<void> {
  if (consent !== run.store.run) {
    throw new GodwitError(
      'GW1005',
      `This deletes ${run.plan.include.join(', ') || 'all business data'} at ${run.plan.from}. Say --yes-delete ${run.store.run} to do it`,
      {
        details: { run: run.store.run, source: run.plan.from },
      },
    );
  }
  if (run.store.phase === 'confirmed') await planCleanup(run);
  const names = run.store.get<{ db: string; name: string }[]>(KEY.cleanup) ?? [];
  await withRetry(run.retry(), async () => {
    const connection = await run.source.connectPrimary(run.signal);
    try {
      for (const { db, name } of names) await dropCollection(connection, { db, collection: name });
    } finally {
      connection.close();
    }
  });
  const kind = run.store.get<CutoverRecord>(KEY.cutover)?.fence ?? 'none';
  await withRetry(run.retry(), () => makeFence(run, kind, 'source').lower(run.signal));
  run.store.enter('done', 'source-deleted', () =>
    run.store.event('deleted', { namespaces: names.map(({ db, name }) => `${db}.${name}`) }),
  );
}

async function planCleanup(run: RunContext): Promise<void> {
  const since = run.store.get<Position>(KEY.confirmedAt) as Position;
  await withRetry(run.retry(), () => assertUntouched(run, since));
  const catalog = await withRetry(run.retry(), () => readCatalog(run.source, run.selection, run.signal));
  const there = await withRetry(run.retry(), () =>
    readCatalog(run.target, sidesOf(run, 'reverse').selection, run.signal),
  );
  const present = new Set(there.collections.map((spec) => `${spec.db}.${spec.name}`));
  for (const spec of catalog.collections) {
    const name = run.selection.target(spec.db, spec.name);
    if (present.has(`${name.db}.${name.collection}`)) continue;
    run.store.event('cleanup-note', { namespace: `${spec.db}.${spec.name}`, note: 'no longer exists at the target' });
  }
  const names = [
    ...catalog.views.map(({ db, name }) => ({ db, name })),
    ...catalog.collections.map(({ db, name }) => ({ db, name })),
  ];
  run.store.enter('cleaning', 'cleanup-planned', () => run.store.set(KEY.cleanup, names));
}

/** Throws GW6002 when the source was written since the proof, or when its log no longer tells. */
async function assertUntouched(run: RunContext, since: Position): Promise<void> {
  const source = new OplogSource({ cluster: run.source, selection: run.selection, readFrom: 'primary' });
  const until = await run.source.note({ cleanup: run.store.run });
  const stop = new AbortController();
  try {
    for await (const block of source.stream(since, AbortSignal.any([run.signal, stop.signal]))) {
      const written = source.firstChange(block);
      if (written) {
        throw new GodwitError(
          'GW6002',
          `${written.namespace} was written at the source after the confirmation; it is not deleted`,
          {
            details: { namespace: written.namespace, position: written.position },
          },
        );
      }
      if (block.last >= until) return;
    }
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'GW4001') {
      throw new GodwitError(
        'GW6002',
        "The source's log no longer reaches back to the confirmation, so nothing proves that it is unchanged",
        {
          cause: error,
        },
      );
    }
    throw error;
  } finally {
    stop.abort();
  }
}
