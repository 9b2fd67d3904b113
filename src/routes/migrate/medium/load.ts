import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import {
  type ApplierMemory,
  bytesOfMedium,
  type Catalog,
  type CollectionSpec,
  isForTool,
  logBlocks,
  type Medium,
  MediumImporter,
  openMedium,
  planMediumChunks,
  restoreByTool,
  restoredSoFar,
  trackedOf,
} from '../../../adapters/mongodb/index.ts';
import type { ApplyCheckpoint } from '../../../kernel/apply.ts';
import { copyAll } from '../../../kernel/copy.ts';
import { GodwitError, invariant } from '../../../kernel/errors.ts';
import { failpoint } from '../../../kernel/failpoint.ts';
import { POSITION_ZERO } from '../../../kernel/position.ts';
import { withRetry } from '../../../kernel/retry.ts';
import { Spool } from '../../../state/index.ts';
import { setGeneration } from '../generations.ts';
import { aheadKey, checkpointKey, type Generation, spoolDir } from '../link.ts';
import { Meter } from '../meter.ts';
import type { RunnerHooks } from '../open-run.ts';
import { KEY, type RunContext } from '../run-context.ts';
import { loadCatalog, type StoredCatalog, storeCatalog } from '../stored-catalog.ts';
import { createAll, createViews, finishCollection, targetOf } from '../target-structure.ts';
import { ProgressTeller } from './progress.ts';
import { assertSameMedium, mediumRecord, recordOf } from './record.ts';

const MEGABYTE = 1_000_000;
const LOOK_MS = 1_000;

/** What loading a medium needs of a run: the source has no part in it. */
export type LoadWork = Pick<
  RunContext,
  'options' | 'store' | 'target' | 'selection' | 'meter' | 'throttle' | 'signal' | 'gate' | 'onFault' | 'retry'
>;

/** Looks through a medium before anything of it is used, and tells how far that is. */
export async function checkMedium(
  path: string,
  hooks: RunnerHooks,
  signal: AbortSignal,
  clock: RunContext['clock'],
  unpackTo?: string,
): Promise<Medium> {
  const meter = new Meter(clock);
  const teller = new ProgressTeller('check', path, hooks, meter, undefined);
  try {
    teller.total(0, await bytesOfMedium(path));
    teller.step('checking every file');
    return await openMedium(path, {
      signal,
      onRead: (bytes) => meter.copied('', 0, bytes),
      ...(unpackTo === undefined ? {} : { unpackTo }),
    });
  } finally {
    teller.stop();
  }
}

/** Where a compressed archive is unpacked to, when it cannot be read in lanes otherwise. */
export function unpackPath(run: Pick<RunContext, 'store'>): string {
  return join(run.store.paths.dir, 'medium.unpacked');
}

/**
 * Takes a checked medium as the beginning of a run: its log goes into the
 * run's spool, its collections into the plan. Phase `created` → `copying`.
 */
export async function beginLoad(run: LoadWork, medium: Medium): Promise<void> {
  const { store, selection } = run;
  const catalog = chosenCatalog(medium, selection);
  if (catalog.collections.length === 0 && catalog.views.length === 0) {
    throw new GodwitError('GW1001', 'The chosen namespaces hold nothing on this medium', {
      details: { include: [...run.options.include] },
    });
  }
  const lastEntry = await seedSpool(run, medium);
  const chosen = new Set(catalog.collections.map((spec) => spec.uuid));
  const chunks = planMediumChunks(medium, run.options.chunkMb * MEGABYTE, chosen).map((chunk, id) => ({
    ...chunk,
    id,
  }));
  const start = medium.log?.start ?? POSITION_ZERO;
  const generation: Generation = {
    number: 0,
    direction: 'forward',
    start,
    // What another tool listed, it listed at some time after its log begins: the log is replayed onto that.
    structureAsOf: medium.source ? (medium.timePoint ?? start) : start,
    listedBy: medium.listedBy,
  };
  failpoint('plan.before-commit');
  store.enter('copying', 'copy-planned', () => {
    store.set(KEY.medium, recordOf(medium, lastEntry));
    store.set(KEY.catalog, storeCatalog(catalog));
    setGeneration(store, generation);
    store.putChunks('copy', chunks);
    store.event('time-point', {
      position: medium.timePoint ?? null,
      collections: catalog.collections.length,
      medium: medium.id,
      tool: medium.tool,
      exact: medium.collections.every((one) => one.snapshot),
    });
  });
  failpoint('plan.after-commit');
}

/** Loads everything of the plan and builds the indexes: phase `copying` → `following`. */
export async function finishLoad(
  run: LoadWork & Pick<RunContext, 'clock'>,
  medium: Medium,
  path: string,
): Promise<void> {
  const { store, selection } = run;
  const record = mediumRecord(store);
  invariant(record, 'A medium is loaded that the run does not know');
  assertSameMedium(record, medium, store.run);
  const catalog = loadCatalog(store.get<StoredCatalog>(KEY.catalog) as StoredCatalog);
  const specs = new Map(catalog.collections.map((spec) => [spec.uuid, spec]));
  const specOf = (uuid: string): CollectionSpec => {
    const spec = specs.get(uuid);
    invariant(spec, `Chunk of a collection that is not in the catalog: ${uuid}`);
    return spec;
  };
  await withRetry(run.retry(), () => createAll(run, catalog));
  const loaded = { catalog, specOf };
  if (run.options.mediumTool === 'mongodump') await loadByTool(run, medium, path, loaded);
  await loadOwn(run, medium, loaded);
  await withRetry(run.retry(), () => createViews(run, catalog));
  failpoint('copy.all-done');
  const generation = store.get<Generation>(KEY.generation) as Generation;
  const end = record.log?.end ?? POSITION_ZERO;
  const memory: ApplierMemory = {
    collections: catalog.collections.map((spec) => {
      const read = record.collections[spec.uuid] ?? { snapshot: false, holds: generation.start };
      return {
        ...trackedOf(spec, selection.target(spec.db, spec.name), read.holds),
        fuzzyUntil: read.snapshot ? POSITION_ZERO : end,
      };
    }),
    transactions: [],
  };
  const checkpoint: ApplyCheckpoint = { position: generation.start, restartFrom: generation.start, entries: 0, memory };
  store.enter('following', 'copy-done', () => {
    store.set(checkpointKey(generation.number), checkpoint);
    // A collection that the log creates may be on the medium already, and then it is ahead of the log.
    if (generation.listedBy && generation.listedBy > generation.structureAsOf) {
      store.set(aheadKey(generation.number), generation.listedBy);
    }
  });
  await rm(unpackPath(run), { force: true });
}

interface Loaded {
  readonly catalog: Catalog;
  readonly specOf: (uuid: string) => CollectionSpec;
}

async function loadOwn(run: LoadWork, medium: Medium, { catalog, specOf }: Loaded): Promise<void> {
  const { store } = run;
  const importer = new MediumImporter({
    folder: medium.folder,
    target: run.target,
    unit: (uuid) => ({ spec: specOf(uuid), target: targetOf(run, specOf(uuid)) }),
    throttle: run.throttle,
  });
  try {
    await copyAll({
      copier: importer,
      lanes: run.options.lanes,
      units: catalog.collections.map((spec) => spec.uuid),
      ledger: {
        pending: () => store.pendingChunks('copy'),
        done: (chunk, docs, bytes) => store.chunkDone('copy', chunk.id, { docs, bytes }),
      },
      finishUnit: (uuid) => finishCollection(run, specOf(uuid)),
      retry: run.retry(),
      onProgress: (unit, docs, bytes) => {
        run.meter.copied(unit, docs, bytes);
        run.onFault(undefined);
      },
      gate: run.gate,
    });
  } finally {
    importer.close();
  }
}

/** mongorestore loads the documents; what is there already it passes over, so a repeat does no harm. */
async function loadByTool(
  run: LoadWork & Pick<RunContext, 'clock'>,
  medium: Medium,
  path: string,
  { specOf }: Loaded,
): Promise<void> {
  const { store, target, selection, signal, options } = run;
  const itsChunks = store.pendingChunks('copy').filter((chunk) => isForTool(specOf(chunk.unit)));
  if (itsChunks.length === 0) return;
  const restore = { uri: options.to, path, medium, target, selection, lanes: options.lanes, signal };
  const over = new AbortController();
  const watching = watchRestore(run, restore, AbortSignal.any([signal, over.signal]));
  try {
    await run.gate();
    await restoreByTool(restore);
  } finally {
    over.abort();
    await watching;
  }
  store.commit(() => {
    for (const { id, docs, bytes } of itsChunks) store.chunkDone('copy', id, { docs, bytes });
  });
}

async function watchRestore(
  run: LoadWork & Pick<RunContext, 'clock'>,
  restore: Parameters<typeof restoredSoFar>[0],
  signal: AbortSignal,
): Promise<void> {
  const seen = { docs: 0, bytes: 0 };
  while (!signal.aborted) {
    await run.clock.sleep(LOOK_MS, signal);
    const now = await restoredSoFar(restore).catch(() => seen);
    run.meter.copied('', now.docs - seen.docs, now.bytes - seen.bytes);
    Object.assign(seen, now);
  }
}

/** The structure of the chosen namespaces on a medium. */
export function chosenCatalog(medium: Medium, selection: RunContext['selection']): Catalog {
  return {
    position: medium.timePoint ?? POSITION_ZERO,
    collections: medium.collections.map((one) => one.spec).filter((spec) => selection.includes(spec.db, spec.name)),
    views: medium.views.filter((view) => selection.includes(view.db, view.name)),
  };
}

/**
 * Puts the log that came with the medium where the run's own log is kept, so
 * that the source is asked only for what came later. Gives its last entry.
 */
async function seedSpool(run: LoadWork, medium: Medium): Promise<Buffer | undefined> {
  if (!medium.log) return undefined;
  // What an earlier attempt left may be cut otherwise. Nothing was applied of it: the run was not planned yet.
  await rm(spoolDir(run.store, 0), { recursive: true, force: true });
  const spool = await Spool.open(spoolDir(run.store, 0));
  let last: Buffer | undefined;
  try {
    for await (const block of logBlocks(medium)) {
      await spool.append(block);
      last = lastEntryOf(block.bytes);
    }
    await spool.sync();
  } finally {
    await spool.close();
  }
  return last;
}

function lastEntryOf(entries: Buffer): Buffer {
  let at = 0;
  for (let next = 0; next < entries.length; next += entries.readInt32LE(next)) at = next;
  return Buffer.from(entries.subarray(at));
}
