import {
  type ApplierMemory,
  adoptCollection,
  currentUuid,
  isSameLog,
  type Medium,
  preflightTarget,
} from '../../../adapters/mongodb/index.ts';
import type { ApplyCheckpoint } from '../../../kernel/apply.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { withRetry } from '../../../kernel/retry.ts';
import { currentGeneration } from '../generations.ts';
import { checkpointKey } from '../link.ts';
import type { RunnerHooks } from '../open-run.ts';
import { UNKNOWN_SOURCE } from '../plan.ts';
import { KEY, type RunContext } from '../run-context.ts';
import type { StoredCatalog } from '../stored-catalog.ts';
import { isFinished } from './finish.ts';
import { beginLoad, checkMedium, chosenCatalog, finishLoad, type LoadWork, unpackPath } from './load.ts';
import { type MediumRecord, mediumRecord } from './record.ts';

/** State key: the source's log was proved to be the one of the medium. */
const LED_ON = 'medium.led-on';
/** State key: capped collections hold what the source held when it was set. */
const RECOPIED = 'medium.recopied';

/** Begins a run with a medium instead of a copy. Nothing was written to the target before. */
export async function beginFromMedium(run: RunContext, hooks: RunnerHooks): Promise<Medium> {
  const medium = await openForLoad(run, run.options.fromMedium, hooks);
  assertCanLead(medium, run);
  await assertTargetReady(run, medium);
  await beginLoad(run, medium);
  return medium;
}

/** Loads what is left of the run's medium, which may have been checked just now. */
export async function finishFromMedium(run: RunContext, hooks: RunnerHooks, checked?: Medium): Promise<void> {
  const path = run.options.fromMedium ?? run.options.medium;
  await finishLoad(run, await openForLoad(run, path, hooks, checked), path ?? '');
}

/** Checks all of a medium, unless it was just now, and unpacks it where that is needed to load it. */
export async function openForLoad(
  run: LoadWork & Pick<RunContext, 'clock'>,
  path: string | undefined,
  hooks: RunnerHooks,
  checked?: Medium,
): Promise<Medium> {
  if (checked && !checked.packed) return checked;
  if (path === undefined) {
    throw new GodwitError('GW1001', 'The run loads a medium: say --from-medium, where it is', {
      details: { option: 'from-medium' },
    });
  }
  return checkMedium(path, hooks, run.signal, run.clock, unpackPath(run));
}

/** Throws GW2001 with everything that bars loading this medium into the target. */
export async function assertTargetReady(run: Pick<RunContext, 'target' | 'selection'>, medium: Medium): Promise<void> {
  const { target, selection } = run;
  const found = await preflightTarget({ target, selection, catalog: chosenCatalog(medium, selection) });
  const errors = found.filter((finding) => finding.severity === 'error');
  if (errors.length === 0) return;
  throw new GodwitError('GW2001', errors.map((finding) => finding.message).join('; '), {
    details: { findings: errors.map((finding) => `${finding.check}: ${finding.message}`) },
  });
}

function assertCanLead(medium: Medium, run: RunContext): void {
  if (!medium.log) {
    throw new GodwitError('GW2104', 'The medium has no log: it was made without --oplog', {
      details: { medium: medium.id, tool: medium.tool },
    });
  }
  const { sourceId } = run.plan;
  if (medium.source && sourceId !== UNKNOWN_SOURCE && medium.source.id !== sourceId) {
    throw new GodwitError('GW2104', `The medium comes from another source: ${medium.source.address}`, {
      details: { medium: medium.id, source: medium.source.id },
    });
  }
}

/**
 * Before the log of the source is followed for the first time behind the log
 * of a medium: they must be one log. Does nothing for runs that copy.
 */
export async function leadOn(run: RunContext): Promise<void> {
  const { store, source } = run;
  const record = mediumRecord(store);
  if (!record) return;
  const sourceId = await source.identity();
  const known = store.get<string>(LED_ON);
  if (known !== undefined) {
    if (known === sourceId) return;
    throw new GodwitError('GW1003', `Run ${store.run} follows another source`, { details: { run: store.run } });
  }
  if (isFinished(store)) {
    throw new GodwitError('GW1004', `Run ${store.run} was ended with --finish: its target stands by itself`, {
      details: { run: store.run },
    });
  }
  const { log } = record;
  if (!log) {
    throw new GodwitError('GW2104', 'The medium has no log, so no run can go on from it', {
      details: { medium: record.id, tool: record.tool },
    });
  }
  // When the source has forgotten that far back, following it says so, or finds what was kept elsewhere.
  const proved = await withRetry(run.retry(), () => isSameLog(source, Buffer.from(log.lastEntry, 'base64')));
  store.commit(() => {
    store.set(LED_ON, sourceId);
    store.event('led-on', { medium: record.id, from: log.end, proved });
  });
}

/**
 * What only the source can tell of a medium that is loaded: once, before its log
 * is applied. Whether anything had to be asked.
 */
export async function completeFromSource(run: RunContext): Promise<boolean> {
  const record = mediumRecord(run.store);
  // A resync looked at everything itself.
  if (!record || currentGeneration(run.store).number > 0) return false;
  const named = await identifyAll(run, record);
  const copied = await recopyCapped(run, record);
  return named || copied;
}

/**
 * Capped collections that another tool dumped are copied anew: it read them at
 * some time after its log begins, and a replay would put documents behind others
 * that were dropped for lack of room long ago.
 */
async function recopyCapped(run: RunContext, record: MediumRecord): Promise<boolean> {
  const { store, source, target, selection, signal } = run;
  const key = checkpointKey(0);
  if (record.tool.startsWith('godwit') || store.get<boolean>(RECOPIED)) return false;
  const checkpoint = store.get<ApplyCheckpoint>(key) as ApplyCheckpoint;
  const memory = checkpoint.memory as ApplierMemory;
  const collections: (typeof memory.collections)[number][] = [];
  for (const known of memory.collections) {
    const { uuid, source: name } = known;
    const fresh = known.capped
      ? await withRetry(run.retry(), () => adoptCollection(source, target, selection, uuid, name.db, name.name, signal))
      : known;
    // What is gone at the source will go with the log.
    collections.push(fresh.ghost ? known : fresh);
  }
  store.commit(() => {
    store.set(key, { ...checkpoint, memory: { ...memory, collections } });
    store.set(RECOPIED, true);
  });
  return true;
}

/** Gives collections whose tool did not tell their identity the one that they have at the source. */
async function identifyAll(run: RunContext, record: MediumRecord): Promise<boolean> {
  if (Object.keys(record.unidentified).length === 0) return false;
  const names = await identitiesOf(run, record);
  run.store.commit(() => rename(run, names));
  return true;
}

/** By what stands for them. */
async function identitiesOf(run: RunContext, record: MediumRecord): Promise<Map<string, string>> {
  const found = new Map<string, string>();
  for (const [standIn, namespace] of Object.entries(record.unidentified)) {
    const dot = namespace.indexOf('.');
    const uuid = await withRetry(run.retry(), () =>
      currentUuid(run.source, namespace.slice(0, dot), namespace.slice(dot + 1)),
    );
    if (uuid) found.set(standIn, uuid);
  }
  return found;
}

/** Puts the identities in place of what stood for them, wherever the run remembers collections. */
function rename(run: RunContext, names: ReadonlyMap<string, string>): void {
  const { store } = run;
  const uuidOf = (uuid: string) => names.get(uuid) ?? uuid;
  const catalog = store.get<StoredCatalog>(KEY.catalog);
  if (catalog) {
    const collections = catalog.collections.map((one) => ({ ...one, uuid: uuidOf(one.uuid) }));
    store.set(KEY.catalog, { ...catalog, collections });
  }
  const record = mediumRecord(store);
  if (record) {
    const collections = Object.entries(record.collections).map(([uuid, read]) => [uuidOf(uuid), read]);
    store.set(KEY.medium, { ...record, collections: Object.fromEntries(collections), unidentified: {} });
  }
  const key = checkpointKey(0);
  const checkpoint = store.get<ApplyCheckpoint>(key);
  if (!checkpoint) return;
  const memory = checkpoint.memory as ApplierMemory;
  const collections = memory.collections.map((one) => ({ ...one, uuid: uuidOf(one.uuid) }));
  store.set(key, { ...checkpoint, memory: { ...memory, collections } });
}
