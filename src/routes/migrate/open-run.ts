import { Cluster, makeSelection } from '../../adapters/mongodb/index.ts';
import { systemClock } from '../../kernel/clock.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { Throttle } from '../../kernel/throttle.ts';
import { acquireRunLock, type RunLock, RunStore } from '../../state/index.ts';
import type { MigrateOptions, RunEvent } from './api.ts';
import { Meter } from './meter.ts';
import { assertSamePlan, makePlan, type RunPlan } from './plan.ts';
import { assertReady } from './preflight.ts';
import type { RunContext } from './run-context.ts';
import { runs } from './status.ts';

export interface RunnerHooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: RunEvent) => void;
}

/** A run that this process holds. */
export interface OpenedRun {
  readonly run: RunContext;
  readonly lock: RunLock;
  /** Ends everything that works on the run. */
  readonly stop: AbortController;
}

const PAUSE_POLL_MS = 150;

/** Connects both sides, makes the run if there is none yet and that is allowed, and takes its lock. */
export async function openRun(
  options: MigrateOptions,
  hooks: RunnerHooks,
  mayCreate: boolean,
  onFault: RunContext['onFault'],
): Promise<OpenedRun> {
  const source = await Cluster.connect('source', options.from);
  let target: Cluster | undefined;
  let lock: RunLock | undefined;
  try {
    target = await Cluster.connect('target', options.to);
    hooks.onEvent({ type: 'event', at: new Date().toISOString(), kind: 'checking', data: { run: options.run } });
    await makeRun(options, source, target, mayCreate, hooks.signal);
    // The lock comes before the state is opened for writing: opening may bring an older format up to date.
    lock = acquireRunLock(options.state, options.run);
    const store = RunStore.open(options.state, options.run);
    await assertSamePlan(store.plan<RunPlan>(), options, source, target);
    const stop = new AbortController();
    const signal = AbortSignal.any([hooks.signal, stop.signal]);
    const readFrom = options.readFrom ?? ((await source.members()).hosts.length > 1 ? 'secondary' : 'primary');
    return { run: contextOf(options, store, source, target, readFrom, signal, onFault), lock, stop };
  } catch (error) {
    lock?.release();
    await target?.close();
    await source.close();
    throw error;
  }
}

function contextOf(
  options: MigrateOptions,
  store: RunStore,
  source: Cluster,
  target: Cluster,
  readFrom: RunContext['readFrom'],
  signal: AbortSignal,
  onFault: RunContext['onFault'],
): RunContext {
  const plan = store.plan<RunPlan>();
  const throttle = new Throttle(systemClock);
  if (options.maxMbps) throttle.limit(options.maxMbps * 1e6, `--max-mbps ${options.maxMbps}`);
  const meter = new Meter(systemClock);
  meter.startFrom(store);
  return {
    options,
    store,
    plan,
    source,
    target,
    selection: makeSelection(plan.include, plan.exclude, plan.rename),
    clock: systemClock,
    meter,
    throttle,
    signal,
    readFrom,
    waitingFor: undefined,
    link: undefined,
    rounds: undefined,
    frozen: undefined,
    caughtUp: undefined,
    gate: () => waitWhilePaused(store, signal),
    onFault,
    retry: (other) => ({
      clock: systemClock,
      signal: other ?? signal,
      deadlineMs: options.retryForSeconds * 1000,
      onRetry: onFault,
    }),
  };
}

/** Makes the run if there is none and that is allowed; throws GW1002 or what preflight found. */
async function makeRun(
  options: MigrateOptions,
  source: Cluster,
  target: Cluster,
  mayCreate: boolean,
  signal: AbortSignal,
): Promise<void> {
  if (runs(options.state).includes(options.run)) return;
  if (!mayCreate) {
    throw new GodwitError('GW1002', `There is no run ${options.run} in ${options.state}`, {
      details: { run: options.run },
    });
  }
  await assertReady(options, source, target, signal);
  const plan = await makePlan(options, source, target);
  RunStore.create(options.state, options.run, { route: 'migrate', plan }).close();
}

/** The gate of a run: waits while it is paused. */
export async function waitWhilePaused(store: RunStore, signal: AbortSignal): Promise<void> {
  while (store.flag('paused') !== undefined && !signal.aborted) await systemClock.sleep(PAUSE_POLL_MS, signal);
}
