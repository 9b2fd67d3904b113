import { type ApplierMemory, finishIndexes, OplogApplier, reviveExpiry } from '../../../adapters/mongodb/index.ts';
import type { ApplyCheckpoint } from '../../../kernel/apply.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { withRetry } from '../../../kernel/retry.ts';
import { type RunStore, Spool } from '../../../state/index.ts';
import { currentGeneration } from '../generations.ts';
import { checkpointKey, spoolDir } from '../link.ts';
import { KEY } from '../run-context.ts';
import { eachBlock } from '../spool-pass.ts';
import { loadCatalog, type StoredCatalog } from '../stored-catalog.ts';
import { targetOf } from '../target-structure.ts';
import type { LoadWork } from './load.ts';
import { mediumRecord } from './record.ts';

/** State key: the target was made to stand by itself. */
const FINISHED = 'medium.finished';

export function isFinished(store: RunStore): boolean {
  return store.get<boolean>(FINISHED) ?? false;
}

/**
 * Completes a target that no run will go on with: everything that was written
 * while the medium was made is applied, then indexes are unique and documents
 * expire again. May be repeated after any crash.
 */
export async function finishAlone(run: LoadWork): Promise<void> {
  const { store, signal } = run;
  await withRetry(run.retry(), () => applyLog(run));
  const catalog = loadCatalog(store.get<StoredCatalog>(KEY.catalog) as StoredCatalog);
  await withRetry(run.retry(), async () => {
    const connection = await run.target.connectPrimary(signal);
    try {
      for (const spec of catalog.collections) await finishIndexes(connection, targetOf(run, spec), spec);
      for (const spec of catalog.collections) await reviveExpiry(connection, targetOf(run, spec), spec);
    } finally {
      connection.close();
    }
  });
  store.commit(() => {
    store.set(FINISHED, true);
    store.event('finished', { medium: mediumRecord(store)?.id });
  });
}

async function applyLog(run: LoadWork): Promise<void> {
  const { store, signal, target, selection } = run;
  const log = mediumRecord(store)?.log;
  if (!log) return;
  const generation = currentGeneration(store);
  const checkpoint = store.get<ApplyCheckpoint>(checkpointKey(generation.number)) as ApplyCheckpoint;
  const never = () => Promise.reject(new GodwitError('GW9001', 'Structure was to be held'));
  const applier = await OplogApplier.open(
    {
      target,
      selection,
      lanes: run.options.applyLanes,
      memory: checkpoint.memory as ApplierMemory,
      after: generation.start,
      structureAsOf: generation.structureAsOf,
      listedBy: generation.listedBy,
      // An earlier attempt may have been anywhere.
      fuzzyUntil: log.end,
      holdAtStructure: true,
      adopt: never,
      reconcileViews: never,
    },
    signal,
  );
  const spool = await Spool.open(spoolDir(store, generation.number));
  try {
    await eachBlock(spool, generation.start, log.end, [signal], async (block) => {
      for await (const _applied of applier.apply(block, signal));
      return !applier.held;
    });
    if (!applier.held) return;
    throw new GodwitError(
      'GW2104',
      `Structure was changed while the medium was made (${applier.heldBy}); only a run that has its source can carry that`,
      { details: { medium: mediumRecord(store)?.id ?? '', change: applier.heldBy ?? '' } },
    );
  } finally {
    applier.close();
    await spool.close();
  }
}
