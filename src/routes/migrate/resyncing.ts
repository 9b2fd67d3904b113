import { rmSync } from 'node:fs';
import { readdir } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ApplierMemory,
  alignStructure,
  type Catalog,
  type CollectionSpec,
  MongoResyncer,
  makeViews,
  missingIndexes,
  namespaceOf,
  oldestOpenTransaction,
  type Placement,
  type ResyncFindings,
  readCatalog,
  sizeOf,
  waitForOrphans,
} from '../../adapters/mongodb/index.ts';
import type { ApplyCheckpoint } from '../../kernel/apply.ts';
import { copyAll } from '../../kernel/copy.ts';
import { GodwitError, invariant } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { Position } from '../../kernel/position.ts';
import { withRetry } from '../../kernel/retry.ts';
import { trackedCopy } from './copied.ts';
import { planAllChunks } from './copying.ts';
import { currentGeneration, setGeneration } from './generations.ts';
import { checkpointKey, type Generation } from './link.ts';
import { KEY, type ProofRecord, type ResyncRecord, type RunContext } from './run-context.ts';
import { type Sides, sidesOf } from './sides.ts';
import { loadCatalog, type StoredCatalog, storeCatalog } from './stored-catalog.ts';
import { buildIndexes } from './target-structure.ts';

/** A resync is refused when it would delete more than half of so many documents. */
const WORTH_GUARDING = 1_000;
/** Of a larger collection more work would be lost to a crash than is saved by reading it in the order on disk. */
const SCANNED_CHUNKS = 512;

/**
 * Takes a new time point, from which the log is there again, and plans the
 * comparison: the run is `resyncing` (or `resyncing-back`) then. What flows, and in which direction,
 * stays the same; it is a generation of its own, with a spool of its own.
 */
export async function beginResync(run: RunContext, reason: GodwitError): Promise<void> {
  const { store } = run;
  const last = currentGeneration(store);
  const sides = sidesOf(run, last.direction);
  const catalog = await withRetry(run.retry(), () => readCatalog(sides.from, sides.selection, run.signal));
  const placements = knownPlacements(run, last, sides);
  await withRetry(run.retry(), () => assertWorthwhile(sides, catalog, placements));
  const start = await withRetry(run.retry(), () => oldestOpenTransaction(sides.from, catalog.position));
  const chunks = await withRetry(run.retry(), () => planAllChunks(run, sides.from, catalog, SCANNED_CHUNKS));
  const generation: Generation = {
    number: last.number + 1,
    direction: last.direction,
    start,
    structureAsOf: catalog.position,
  };
  const record: ResyncRecord = {
    generation: generation.number,
    reason: reason.message,
    lostAt: store.get<ApplyCheckpoint>(checkpointKey(last.number))?.position ?? ('' as Position),
    position: catalog.position,
    startedAt: new Date(run.clock.now()).toISOString(),
    found: { missing: 0, extra: 0, different: 0 },
    recopied: [],
  };
  failpoint('resync.before-commit');
  store.commit(() => {
    const phase = last.direction === 'forward' ? 'resyncing' : 'resyncing-back';
    if (store.phase !== phase) store.enter(phase, 'log-lost');
    store.set(KEY.resync, record);
    store.set(KEY.resyncCatalog, storeCatalog(catalog));
    store.set(KEY.placements, placements);
    for (const spec of catalog.collections) store.set(KEY.copyStart(spec.uuid), undefined);
    if (last.direction === 'forward') store.set(KEY.catalog, storeCatalog(catalog));
    setGeneration(store, generation);
    store.clearChunks('verify');
    store.clearDrift();
    store.putChunks('verify', chunks);
    // The comparison that repairs is the first half of a proof; the log since then is the second.
    store.set(KEY.proof, {
      state: 'running',
      at: record.startedAt,
      docs: 0,
      bytes: 0,
      drift: 0,
      direction: last.direction,
      generation: generation.number,
      from: start,
      beforeLog: true,
      digests: true,
    } satisfies ProofRecord);
    store.event('resync-began', { reason: reason.message, position: catalog.position, lostAt: record.lostAt });
  });
  failpoint('resync.after-commit');
}

/** Where the other side has what it has, by the best knowledge there is. */
function knownPlacements(run: RunContext, last: Generation, sides: Sides): readonly Placement[] {
  const { store } = run;
  const checkpoint = store.get<ApplyCheckpoint>(checkpointKey(last.number));
  if (checkpoint) {
    return (checkpoint.memory as ApplierMemory).collections
      .filter((collection) => !collection.ghost)
      .map(({ uuid, target }) => ({ uuid, target }));
  }
  const before = store.get<Placement[]>(KEY.placements);
  if (before) return before;
  return placementsOf(loadCatalog(store.get<StoredCatalog>(KEY.catalog) as StoredCatalog), sides);
}

/** Where everything of a catalog belongs. */
function placementsOf(catalog: Catalog, sides: Sides): Placement[] {
  return catalog.collections.map((spec) => ({
    uuid: spec.uuid,
    target: sides.selection.target(spec.db, spec.name),
  }));
}

/**
 * A followed side that has lost most of its documents is rather a mistake (the
 * wrong side, or one cleaned up already) than something to be repeated.
 */
async function assertWorthwhile(sides: Sides, catalog: Catalog, placements: readonly Placement[]): Promise<void> {
  let here = 0;
  let there = 0;
  for (const spec of catalog.collections) here += (await sizeOf(sides.from, spec)).docs;
  for (const { target } of placements) {
    there += (await sizeOf(sides.to, { db: target.db, name: target.collection })).docs;
  }
  if (there < WORTH_GUARDING || here * 2 >= there) return;
  throw new GodwitError(
    'GW4004',
    `The ${sides.from.name} has ${here} documents and the ${sides.to.name} ${there}: a resync would delete most of them`,
    { details: { [sides.from.name]: here, [sides.to.name]: there } },
  );
}

/**
 * Makes both sides equal as of the new time point: `resyncing` → `following`, or `resyncing-back` → `switched`.
 * @param ready resolves when the neighbours of the source are watched: nothing large is read before
 */
export async function finishResync(run: RunContext, ready: Promise<unknown>): Promise<void> {
  const { store } = run;
  const generation = currentGeneration(store);
  const sides = sidesOf(run, generation.direction);
  const catalog = loadCatalog(store.get<StoredCatalog>(KEY.resyncCatalog) as StoredCatalog);
  await dropOldSpools(run, generation.number);
  const names = new Set(
    [...knownPlacements(run, generation, sides), ...placementsOf(catalog, sides)].map(
      ({ target }) => `${target.db}.${target.collection}`,
    ),
  );
  await withRetry(run.retry(), () => waitForOrphans(sides.to, names, run.signal, run.clock));
  if (!recordOf(run).structure) await align(run, sides, catalog);
  await ready;
  await compareAndRepair(run, sides, catalog);
  await withRetry(run.retry(), () => alignViews(run, sides, catalog));
  failpoint('resync.all-done');
  const end = await withRetry(run.retry(), () => sides.from.note({ resync: 'end' }));
  const memory: ApplierMemory = {
    collections: catalog.collections.map((spec) => ({
      ...trackedCopy(run, spec, sides.selection.target(spec.db, spec.name), catalog.position),
      fuzzyUntil: end,
    })),
    transactions: [],
  };
  const { start } = generation;
  const checkpoint: ApplyCheckpoint = { position: start, restartFrom: start, entries: 0, memory };
  const ordered = await planOrdered(run, sides, catalog);
  store.enter(generation.direction === 'forward' ? 'following' : 'switched', 'resynced', () => {
    store.set(checkpointKey(generation.number), checkpoint);
    store.putChunks('verify', ordered);
    const record = { ...recordOf(run), doneAt: new Date(run.clock.now()).toISOString() };
    store.set(KEY.resync, record);
    store.event('resync-done', {
      compared: run.meter.verifyDocs,
      bytes: run.meter.verifyBytes,
      ...record.found,
      recopied: record.recopied.length,
    });
  });
}

function recordOf(run: RunContext): ResyncRecord {
  const record = run.store.get<ResyncRecord>(KEY.resync);
  invariant(record, 'A resync without its record');
  return record;
}

/** The log of earlier generations is of no use any more, and may be large. */
async function dropOldSpools(run: RunContext, generation: number): Promise<void> {
  const { dir } = run.store.paths;
  for (const name of await readdir(dir)) {
    const number = /^spool-(\d+)$/.exec(name)?.[1];
    if (number !== undefined && Number(number) < generation) rmSync(join(dir, name), { recursive: true, force: true });
  }
}

async function align(run: RunContext, sides: Sides, catalog: Catalog): Promise<void> {
  const { store } = run;
  const structure = await withRetry(run.retry(), async () => {
    const target = await sides.to.connectPrimary(run.signal);
    try {
      return await alignStructure({
        target,
        catalog,
        selection: sides.selection,
        placements: store.get<Placement[]>(KEY.placements) ?? [],
        moved: (placements) => store.set(KEY.placements, placements),
      });
    } finally {
      target.close();
    }
  });
  failpoint('resync.structure.after');
  store.commit(() => {
    store.set(KEY.resync, { ...recordOf(run), structure });
    const changes = Object.values(structure).flat();
    if (changes.length > 0) store.event('resync-structure', { ...structure });
  });
}

async function compareAndRepair(run: RunContext, sides: Sides, catalog: Catalog): Promise<void> {
  const { store } = run;
  const specs = new Map(catalog.collections.map((spec) => [spec.uuid, spec]));
  const specOf = (uuid: string): CollectionSpec => {
    const spec = specs.get(uuid);
    invariant(spec, `Chunk of a collection that is not in the catalog: ${uuid}`);
    return spec;
  };
  const targetOf = (spec: CollectionSpec) => sides.selection.target(spec.db, spec.name);
  const resyncer = new MongoResyncer({
    source: sides.from,
    target: sides.to,
    readFrom: currentGeneration(store).direction === 'forward' ? run.readFrom : 'primary',
    unit: (uuid) => ({ spec: specOf(uuid), target: targetOf(specOf(uuid)) }),
    notBefore: catalog.position,
    throttle: run.throttle,
    rememberStart: (uuid, position) => store.set(KEY.copyStart(uuid), position),
    onRepaired: (_spec, found) => {
      if (found.missing + found.extra + found.different === 0) return;
      const record = recordOf(run);
      const sum = (name: keyof ResyncFindings) => record.found[name] + found[name];
      store.set(KEY.resync, {
        ...record,
        found: { missing: sum('missing'), extra: sum('extra'), different: sum('different') },
      });
    },
    onRecopied: (spec) => {
      const record = recordOf(run);
      store.set(KEY.resync, { ...record, recopied: [...new Set([...record.recopied, namespaceOf(spec)])] });
    },
  });
  run.meter.verifyDocs = 0;
  run.meter.verifyBytes = 0;
  for (const total of store.chunkTotals('verify')) run.meter.verified(total.docsDone, total.bytesDone);
  try {
    await copyAll({
      copier: resyncer,
      lanes: run.options.lanes,
      units: catalog.collections.map((spec) => spec.uuid),
      ledger: {
        pending: () => store.pendingChunks('verify'),
        done: (chunk, docs, bytes) => store.chunkDone('verify', chunk.id, { docs, bytes }),
      },
      finishUnit: (uuid) => completeIndexes(run, sides, specOf(uuid)),
      retry: run.retry(),
      onProgress: (_unit, docs, bytes) => {
        run.meter.verified(docs, bytes);
        run.onFault(undefined);
      },
      gate: run.gate,
    });
  } finally {
    resyncer.close();
  }
}

async function completeIndexes(run: RunContext, sides: Sides, spec: CollectionSpec): Promise<void> {
  const name = sides.selection.target(spec.db, spec.name);
  const connection = await sides.to.connectPrimary(run.signal);
  let missing: Buffer[];
  try {
    missing = await missingIndexes(connection, name, spec);
  } finally {
    connection.close();
  }
  await buildIndexes(run, sides.to, name, missing, { deferred: true });
  run.store.event('collection-ready', { namespace: namespaceOf(spec), indexes: missing.length });
}

async function alignViews(run: RunContext, sides: Sides, catalog: Catalog): Promise<void> {
  const connection = await sides.to.connectPrimary(run.signal);
  try {
    for (const db of new Set([...catalog.collections, ...catalog.views].map((spec) => spec.db))) {
      const views = catalog.views.filter((view) => view.db === db);
      await makeViews(connection, sides.selection, db, views);
    }
  } finally {
    connection.close();
  }
}

/**
 * Collections whose order is their meaning were compared or copied while they
 * were written; the proof looks at them again, as any proof does.
 */
async function planOrdered(run: RunContext, sides: Sides, catalog: Catalog) {
  const ordered = catalog.collections.filter((spec) => spec.capped);
  const first = run.store.chunkTotals('verify').reduce((sum, total) => sum + total.total, 0);
  const chunks = await withRetry(run.retry(), () =>
    planAllChunks(run, sides.from, { ...catalog, collections: ordered }),
  );
  // They are counted already.
  return chunks.map((chunk, i) => ({ ...chunk, id: first + i, docs: 0, bytes: 0 }));
}
