import {
  type ApplierMemory,
  type Catalog,
  type Cluster,
  type CollectionSpec,
  MongoCopier,
  oldestOpenTransaction,
  planChunks,
  planScan,
  readCatalog,
} from '../../adapters/mongodb/index.ts';
import type { ApplyCheckpoint } from '../../kernel/apply.ts';
import { copyAll } from '../../kernel/copy.ts';
import { GodwitError, invariant } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { Chunk } from '../../kernel/ports.ts';
import { withRetry } from '../../kernel/retry.ts';
import { type EarlyPositions, trackedCopy } from './copied.ts';
import { EarlyApply } from './early-apply.ts';
import { freezeForCopy, freezeWithCatalog, isExact, letGo, noteRead } from './freezing.ts';
import { setGeneration } from './generations.ts';
import { checkpointKey, type Generation } from './link.ts';
import { KEY, type RunContext } from './run-context.ts';
import { loadCatalog, type StoredCatalog, storeCatalog } from './stored-catalog.ts';
import { createAll, createViews, finishCollection, targetOf } from './target-structure.ts';

const MEGABYTE = 1_000_000;

/** Chooses the first time point and writes the plan of the copy: phase `created` → `copying`. */
export async function beginCopy(run: RunContext): Promise<void> {
  const { store, source, selection } = run;
  const still = await freezeWithCatalog(run);
  const catalog = still?.catalog ?? (await withRetry(run.retry(), () => readCatalog(source, selection, run.signal)));
  if (catalog.collections.length === 0 && catalog.views.length === 0) {
    throw new GodwitError('GW1001', 'The chosen namespaces hold nothing to move', {
      details: { include: run.options.include },
    });
  }
  // The log must reach back to every transaction that is still open at the first time point.
  const start =
    still?.frozen.logFrom ?? (await withRetry(run.retry(), () => oldestOpenTransaction(source, catalog.position)));
  const chunks = await withRetry(run.retry(), () => planAllChunks(run, source, catalog));
  const generation: Generation = { number: 0, direction: 'forward', start, structureAsOf: catalog.position };
  failpoint('plan.before-commit');
  store.enter('copying', 'copy-planned', () => {
    store.set(KEY.catalog, storeCatalog(catalog));
    setGeneration(store, generation);
    store.putChunks('copy', chunks);
    store.event('time-point', { position: catalog.position, collections: catalog.collections.length });
  });
  failpoint('plan.after-commit');
}

/**
 * Cuts all collections of a catalog into chunks, numbered from 0.
 * @param scannedChunks a collection of at most so many chunks is one that is read in the order on disk
 */
export async function planAllChunks(
  run: RunContext,
  from: Cluster,
  catalog: Catalog,
  scannedChunks = 0,
): Promise<Chunk[]> {
  // What stands still is cut as it is read.
  const still = from === run.source && run.frozen?.isHeld ? run.frozen : undefined;
  const connection = await (still?.connect(run.signal) ?? from.connectPrimary(run.signal));
  const chunkBytes = run.options.chunkMb * MEGABYTE;
  try {
    const planned = [];
    for (const spec of catalog.collections) {
      const scan = scannedChunks > 0 && !spec.capped ? await planScan(from, spec) : undefined;
      if (scan && scan.bytes <= scannedChunks * chunkBytes) planned.push([scan]);
      else planned.push(await planChunks(from, connection, spec, chunkBytes));
    }
    // Large collections first, so that the lanes end together.
    const size = (chunks: { bytes: number }[]) => chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
    planned.sort((a, b) => size(b) - size(a));
    return planned.flat().map((chunk, id) => ({ ...chunk, id }));
  } finally {
    connection.close();
  }
}

/** Copies everything of the plan and builds the indexes: phase `copying` → `following`. */
export async function finishCopy(run: RunContext): Promise<void> {
  const { store, selection } = run;
  const catalog = loadCatalog(store.get<StoredCatalog>(KEY.catalog) as StoredCatalog);
  const specs = new Map(catalog.collections.map((spec) => [spec.uuid, spec]));
  const specOf = (uuid: string): CollectionSpec => {
    const spec = specs.get(uuid);
    invariant(spec, `Chunk of a collection that is not in the catalog: ${uuid}`);
    return spec;
  };
  await withRetry(run.retry(), () => createAll(run, catalog));
  const pending = store.pendingChunks('copy').length;
  if (pending > 0) await freezeForCopy(run);
  const copier = new MongoCopier({
    source: run.source,
    target: run.target,
    readFrom: run.readFrom,
    unit: (uuid) => ({ spec: specOf(uuid), target: targetOf(run, specOf(uuid)) }),
    notBefore: catalog.position,
    throttle: run.throttle,
    rememberStart: (uuid, position) => store.set(KEY.copyStart(uuid), position),
    still: () => (run.frozen?.isHeld ? run.frozen : undefined),
    onRead: (timePoint) => noteRead(store, timePoint),
  });
  let unread = pending;
  const early = new EarlyApply(run, catalog.collections);
  early.start();
  try {
    await copyAll({
      copier,
      lanes: run.options.lanes,
      units: catalog.collections.map((spec) => spec.uuid),
      ledger: {
        pending: () => store.pendingChunks('copy'),
        done: (chunk, docs, bytes) => {
          store.chunkDone('copy', chunk.id, { docs, bytes });
          unread -= 1;
          // Indexes are built without it.
          if (unread === 0) letGo(run, 'everything is read', false).catch((error) => run.onFault(error));
        },
      },
      finishUnit: async (uuid) => {
        await finishCollection(run, specOf(uuid));
        early.ready(specOf(uuid));
      },
      retry: run.retry(),
      onProgress: (unit, docs, bytes) => {
        run.meter.copied(unit, docs, bytes);
        run.onFault(undefined);
      },
      gate: run.gate,
    });
  } finally {
    await early.stop();
    copier.close();
  }
  await letGo(run, 'everything is read', false);
  const applied = store.get<EarlyPositions>(KEY.early);
  await withRetry(run.retry(), () => createViews(run, catalog));
  failpoint('copy.all-done');
  const end = await withRetry(run.retry(), () => run.source.note({ copy: 'end' }));
  const generation = store.get<Generation>(KEY.generation) as Generation;
  // What was read as of the time point holds nothing of the log after it, unless some of that was applied early.
  const exact = isExact(store, catalog.position) && applied === undefined;
  const memory: ApplierMemory = {
    collections: catalog.collections.map((spec) => ({
      ...trackedCopy(run, spec, selection.target(spec.db, spec.name), catalog.position, applied),
      fuzzyUntil: exact ? catalog.position : end,
    })),
    transactions: [],
  };
  const checkpoint: ApplyCheckpoint = { position: generation.start, restartFrom: generation.start, entries: 0, memory };
  store.enter('following', 'copy-done', () => store.set(checkpointKey(generation.number), checkpoint));
}
