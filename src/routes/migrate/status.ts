import { clusterTime, type Moment, secondsOf } from '../../adapters/mongodb/index.ts';
import type { ApplyCheckpoint } from '../../kernel/apply.ts';
import type { Position } from '../../kernel/position.ts';
import { listRuns, RunStore, runLockHolder } from '../../state/index.ts';
import type { CollectionStatus, MigrateStatus, SyncStatus } from './api.ts';
import { freezeStatus } from './freezing.ts';
import { checkpointKey, type Generation } from './link.ts';
import { type Meter, sumTotals } from './meter.ts';
import type { RunPlan } from './plan.ts';
import { type CutoverRecord, KEY, type ProofRecord, type ResyncRecord } from './run-context.ts';
import type { StoredCatalog } from './stored-catalog.ts';
import { storedRounds } from './sync/rounds.ts';

/** What only the process that runs a migration knows. */
export interface Liveness {
  readonly meter: Meter;
  readonly throttled: string | undefined;
  readonly fault: MigrateStatus['fault'];
  readonly lagSeconds: number | undefined;
  readonly spooledTo: Position | undefined;
  readonly spoolBytes: number;
  readonly moment: Moment | undefined;
  /** Undefined in real time. */
  readonly sync: SyncStatus | undefined;
  readonly selectionTarget: (db: string, name: string) => { db: string; collection: string };
}

/** One look at a run: what is durable, and what is live if this process runs it. */
export function buildStatus(
  store: RunStore,
  live: Liveness | undefined,
  runner: MigrateStatus['runner'],
): MigrateStatus {
  const plan = store.plan<RunPlan>();
  const generation = store.get<Generation>(KEY.generation);
  const checkpoint = generation && store.get<ApplyCheckpoint>(checkpointKey(generation.number));
  const proof = store.get<ProofRecord>(KEY.proof);
  const cutover = store.get<CutoverRecord>(KEY.cutover);
  const totals = store.chunkTotals('copy');
  const sum = sumTotals(totals);
  const done = totals.reduce((s, t) => ({ docs: s.docs + t.docsDone, bytes: s.bytes + t.bytesDone }), {
    docs: 0,
    bytes: 0,
  });
  const docs = live?.meter.copyDocs ?? done.docs;
  const bytes = live?.meter.copyBytes ?? done.bytes;
  const rates = live?.meter.rates ?? { bytes: 0, docs: 0, entries: 0 };
  const copying = store.phase === 'created' || store.phase === 'copying';
  const left = Math.max(0, sum.bytes - bytes);
  return {
    version: 1,
    route: 'migrate',
    run: store.run,
    phase: store.phase,
    at: new Date().toISOString(),
    startedAt: new Date(store.createdAtMs).toISOString(),
    runner,
    paused: store.flag('paused') ?? null,
    throttled: live?.throttled ?? null,
    from: plan.from,
    to: plan.to,
    copy: {
      docs,
      docsTotal: Math.max(sum.docs, docs),
      bytes,
      bytesTotal: Math.max(sum.bytes, bytes),
      mbPerSecond: copying ? rates.bytes / 1e6 : 0,
      docsPerSecond: copying ? rates.docs : 0,
      secondsLeft: copying && rates.bytes > 0 ? left / rates.bytes : null,
      collections: collectionsOf(store, live),
    },
    log: {
      spooledTo: timeOf(live?.spooledTo),
      appliedTo: timeOf(checkpoint?.position),
      spoolBytes: live?.spoolBytes ?? 0,
      entriesApplied: checkpoint?.entries ?? 0,
      entriesPerSecond: rates.entries,
      lagSeconds: live?.lagSeconds ?? null,
      consistentAt: live?.moment
        ? { sourceTime: clusterTime(live.moment.source), targetTime: clusterTime(live.moment.target) }
        : null,
    },
    verify: {
      state: proof?.state ?? 'none',
      at: proof?.at ?? null,
      docs: proof?.state === 'running' && live ? live.meter.verifyDocs : (proof?.docs ?? 0),
      docsTotal: sumTotals(store.chunkTotals('verify')).docs,
      drift: proof?.drift ?? 0,
    },
    sync: live ? (live.sync ?? REAL_TIME) : syncAtRest(store),
    freeze: freezeStatus(store, generation?.structureAsOf, { ms: Date.now(), isRunning: runner.alive }),
    cutover: {
      fence: cutover?.fence ?? null,
      stallMs: cutover?.stallMs ?? null,
      switchedAt: cutover?.switchedAt ?? null,
    },
    resync: resyncOf(store),
    fault: live?.fault ?? null,
  };
}

const REAL_TIME: SyncStatus = {
  mode: 'real-time',
  schedule: null,
  hours: null,
  state: 'real-time',
  nextAt: null,
  rounds: 0,
  last: null,
  behind: null,
};

/** Of a run that no process runs: how it was synchronised last. */
function syncAtRest(store: RunStore): SyncStatus {
  const stored = storedRounds(store);
  if (!stored) return REAL_TIME;
  return { ...REAL_TIME, mode: 'periodic', state: 'idle', ...stored, behind: stored.last?.behind ?? null };
}

function resyncOf(store: RunStore): MigrateStatus['resync'] {
  const record = store.get<ResyncRecord>(KEY.resync);
  if (!record) return null;
  const { reason, startedAt, doneAt, found, recopied } = record;
  return { state: doneAt ? 'done' : 'running', reason, startedAt, doneAt: doneAt ?? null, ...found, recopied };
}

/** Time of a log position, ISO 8601; null for none. */
function timeOf(position: Position | undefined): string | null {
  return position ? new Date(secondsOf(position) * 1000).toISOString() : null;
}

function collectionsOf(store: RunStore, live: Liveness | undefined): CollectionStatus[] {
  const catalog = store.get<StoredCatalog>(KEY.catalog);
  if (!catalog) return [];
  const totals = new Map(store.chunkTotals('copy').map((total) => [total.unit, total]));
  const ready = new Set(
    store
      .events()
      .filter((event) => event.kind === 'collection-ready')
      .map((event) => String(event.data['namespace'])),
  );
  return catalog.collections.map((spec) => {
    const total = totals.get(spec.uuid);
    const counted = live?.meter.unit(spec.uuid) ?? { docs: total?.docsDone ?? 0, bytes: total?.bytesDone ?? 0 };
    const namespace = `${spec.db}.${spec.name}`;
    const target = live?.selectionTarget(spec.db, spec.name);
    const complete = total !== undefined && total.done === total.total;
    let state: CollectionStatus['state'] = 'waiting';
    if (ready.has(namespace)) state = 'ready';
    else if (complete) state = 'indexing';
    else if (counted.docs > 0 || (total?.done ?? 0) > 0) state = 'copying';
    return {
      namespace,
      target: target ? `${target.db}.${target.collection}` : namespace,
      state,
      docs: counted.docs,
      docsTotal: Math.max(total?.docs ?? 0, counted.docs),
      bytes: counted.bytes,
      bytesTotal: Math.max(total?.bytes ?? 0, counted.bytes),
    };
  });
}

/** Status of a run from its state directory: the runner's own words when one is alive. */
export function status(stateDir: string, runName: string): MigrateStatus {
  const store = RunStore.open(stateDir, runName, { readOnly: true });
  try {
    const holder = runLockHolder(stateDir, runName);
    if (!holder) return buildStatus(store, undefined, { alive: false, pid: null });
    const runner = { alive: true, pid: holder.pid ?? null };
    const live = store.live<MigrateStatus>();
    return live ? { ...live, runner } : buildStatus(store, undefined, runner);
  } finally {
    store.close();
  }
}

/** Names of the runs of a state directory. */
export function runs(stateDir: string): string[] {
  return listRuns(stateDir).map((summary) => summary.run);
}
