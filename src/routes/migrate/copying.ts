import {
  type ApplierMemory,
  type Catalog,
  type CollectionSpec,
  createCollection,
  createIndexes,
  MongoCopier,
  makeViews,
  namespaceOf,
  oldestOpenTransaction,
  planChunks,
  readCatalog,
  splitIndexes,
  trackedOf,
} from '../../adapters/mongodb/index.ts';
import type { ApplyCheckpoint } from '../../kernel/apply.ts';
import { copyAll } from '../../kernel/copy.ts';
import { GodwitError, invariant } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { Position } from '../../kernel/position.ts';
import { withRetry } from '../../kernel/retry.ts';
import { EarlyApply, type EarlyPositions } from './early-apply.ts';
import { setGeneration } from './generations.ts';
import { checkpointKey, type Generation } from './link.ts';
import { KEY, type RunContext } from './run-context.ts';
import { loadCatalog, type StoredCatalog, storeCatalog } from './stored-catalog.ts';

const MEGABYTE = 1_000_000;

/** Chooses the first time point and writes the plan of the copy: phase `created` → `copying`. */
export async function beginCopy(run: RunContext): Promise<void> {
  const { store, source, selection } = run;
  const catalog = await withRetry(run.retry(), () => readCatalog(source, selection, run.signal));
  if (catalog.collections.length === 0 && catalog.views.length === 0) {
    throw new GodwitError('GW1001', 'The chosen namespaces hold nothing to move', {
      details: { include: run.options.include },
    });
  }
  // The log must reach back to every transaction that is still open at the first time point.
  const start = await withRetry(run.retry(), () => oldestOpenTransaction(source, catalog.position));
  const chunks = await withRetry(run.retry(), () => planAllChunks(run, catalog));
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

async function planAllChunks(run: RunContext, catalog: Catalog) {
  const connection = await run.source.connectPrimary(run.signal);
  try {
    const planned = [];
    for (const spec of catalog.collections) {
      planned.push(await planChunks(run.source, connection, spec, run.options.chunkMb * MEGABYTE));
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
  const copier = new MongoCopier({
    source: run.source,
    target: run.target,
    readFrom: run.readFrom,
    unit: (uuid) => ({ spec: specOf(uuid), target: targetOf(run, specOf(uuid)) }),
    notBefore: catalog.position,
    throttle: run.throttle,
    rememberStart: (uuid, position) => store.set(KEY.copyStart(uuid), position),
  });
  const early = new EarlyApply(run, catalog.collections);
  early.start();
  try {
    await copyAll({
      copier,
      lanes: run.options.lanes,
      units: catalog.collections.map((spec) => spec.uuid),
      ledger: {
        pending: () => store.pendingChunks('copy'),
        done: (chunk, docs, bytes) => store.chunkDone('copy', chunk.id, { docs, bytes }),
      },
      finishUnit: async (uuid) => {
        await buildIndexes(run, specOf(uuid));
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
  const applied = store.get<EarlyPositions>(KEY.early) ?? {};
  await withRetry(run.retry(), () => createViews(run, catalog));
  failpoint('copy.all-done');
  const end = await withRetry(run.retry(), () => run.source.note({ copy: 'end' }));
  const generation = store.get<Generation>(KEY.generation) as Generation;
  const memory: ApplierMemory = {
    collections: catalog.collections.map((spec) => ({
      ...trackedOf(
        spec,
        selection.target(spec.db, spec.name),
        applied[spec.uuid] ?? store.get<Position>(KEY.copyStart(spec.uuid)) ?? catalog.position,
      ),
      fuzzyUntil: end,
    })),
    transactions: [],
  };
  const checkpoint: ApplyCheckpoint = { position: generation.start, restartFrom: generation.start, entries: 0, memory };
  store.enter('following', 'copy-done', () => store.set(checkpointKey(generation.number), checkpoint));
}

function targetOf(run: RunContext, spec: CollectionSpec) {
  return run.selection.target(spec.db, spec.name);
}

async function createAll(run: RunContext, catalog: Catalog): Promise<void> {
  const connection = await run.target.connectPrimary(run.signal);
  try {
    for (const spec of catalog.collections) await createCollection(connection, targetOf(run, spec), spec);
    failpoint('copy.create.after');
  } finally {
    connection.close();
  }
}

/**
 * Builds the indexes of a collection, two commands at once: the server builds
 * the indexes of one command on one thread, after one pass over the documents.
 */
async function buildIndexes(run: RunContext, spec: CollectionSpec): Promise<void> {
  failpoint('copy.indexes.before');
  const specs = splitIndexes(spec.indexes).now;
  const shares = [0, 1]
    .map((share) => specs.filter((_index, i) => i % 2 === share))
    .filter((share) => share.length > 0);
  await Promise.all(shares.map((share) => buildShare(run, spec, share)));
  failpoint('copy.indexes.after');
  run.store.event('collection-ready', { namespace: namespaceOf(spec), indexes: spec.indexes.length });
}

async function buildShare(run: RunContext, spec: CollectionSpec, indexes: readonly Buffer[]): Promise<void> {
  const connection = await run.target.connectPrimary(run.signal);
  const stop = () => connection.close();
  run.signal.addEventListener('abort', stop, { once: true });
  try {
    await createIndexes(connection, targetOf(run, spec), indexes, { deferred: true });
  } finally {
    run.signal.removeEventListener('abort', stop);
    connection.close();
  }
}

async function createViews(run: RunContext, catalog: Catalog): Promise<void> {
  const connection = await run.target.connectPrimary(run.signal);
  try {
    for (const db of new Set(catalog.views.map((view) => view.db))) {
      await makeViews(
        connection,
        run.selection,
        db,
        catalog.views.filter((view) => view.db === db),
      );
    }
  } finally {
    connection.close();
  }
}
