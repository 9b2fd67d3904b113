import { Cluster, type Medium, makeSelection } from '../../../adapters/mongodb/index.ts';
import { systemClock } from '../../../kernel/clock.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { redactUri } from '../../../kernel/redact.ts';
import { Throttle } from '../../../kernel/throttle.ts';
import { acquireRunLock, RunStore } from '../../../state/index.ts';
import type { CommandResult, ImportOptions, MigrateOptions } from '../api.ts';
import { Meter } from '../meter.ts';
import { type RunnerHooks, waitWhilePaused } from '../open-run.ts';
import { type RunPlan, UNKNOWN_SOURCE } from '../plan.ts';
import type { RunContext } from '../run-context.ts';
import { runs } from '../status.ts';
import { finishAlone, isFinished } from './finish.ts';
import { assertTargetReady, openForLoad } from './from-medium.ts';
import { beginLoad, checkMedium, finishLoad, type LoadWork } from './load.ts';
import { assertSameMedium, mediumRecord } from './record.ts';
import { RunTeller } from './run-teller.ts';

/**
 * Loads a medium into the target: the second half of an import, without the
 * source. What it leaves is a run that `migrate run` goes on with, in the same
 * state directory, once the source can be reached.
 */
export async function importMedium(options: ImportOptions, hooks: RunnerHooks): Promise<CommandResult> {
  const target = await Cluster.connect('target', options.to);
  try {
    const exists = runs(options.state).includes(options.run);
    // Before anything is made: a medium that is refused leaves no trace.
    const medium = exists ? undefined : await checkMedium(options.medium, hooks, hooks.signal, systemClock);
    if (medium) await makeRun(options, target, medium);
    return await load(options, hooks, target, medium);
  } finally {
    await target.close();
  }
}

async function makeRun(options: ImportOptions, target: Cluster, medium: Medium): Promise<void> {
  const selection = makeSelection(options.include, options.exclude, options.rename);
  await assertTargetReady({ target, selection }, medium);
  const plan: RunPlan = {
    from: medium.source?.address ?? medium.tool,
    to: redactUri(options.to),
    sourceId: medium.source?.id ?? UNKNOWN_SOURCE,
    targetId: await target.identity(),
    include: options.include,
    exclude: options.exclude,
    rename: options.rename,
  };
  RunStore.create(options.state, options.run, { route: 'migrate', plan }).close();
}

async function load(
  options: ImportOptions,
  hooks: RunnerHooks,
  target: Cluster,
  checked: Medium | undefined,
): Promise<CommandResult> {
  const lock = acquireRunLock(options.state, options.run);
  try {
    const store = RunStore.open(options.state, options.run);
    const stop = new AbortController();
    const work = contextOf(options, store, target, AbortSignal.any([hooks.signal, stop.signal]));
    const teller = new RunTeller(work, hooks);
    work.onFault = (error) => teller.fault(error);
    try {
      await assertSameRun(store, options, target);
      if (store.phase !== 'created' && store.phase !== 'copying') {
        const already = !options.finish || store.phase !== 'following' || isFinished(store);
        if (!already) await finishAlone(work);
        return teller.result(already ? `Nothing to do: the run is ${store.phase}` : FINISHED, already);
      }
      const medium = await openForLoad(work, options.medium, hooks, checked);
      const record = mediumRecord(store);
      if (record) assertSameMedium(record, medium, store.run);
      if (store.phase === 'created') {
        await assertTargetReady(work, medium);
        await beginLoad(work, medium);
      }
      await finishLoad(work, medium, options.medium);
      if (options.finish) await finishAlone(work);
      return teller.result(
        options.finish ? `${medium.collections.length} collections are loaded; ${FINISHED}` : messageOf(medium),
        false,
      );
    } finally {
      teller.stop();
      store.close();
    }
  } finally {
    lock.release();
  }
}

const FINISHED = 'indexes are unique and what expires does so: the target stands by itself';

function messageOf(medium: Medium): string {
  const loaded = `${medium.collections.length} collections are loaded`;
  return medium.log
    ? `${loaded}; \`godwit migrate run\` with --from goes on with the source's log`
    : `${loaded}; the medium has no log, so no run can go on from it`;
}

async function assertSameRun(store: RunStore, options: ImportOptions, target: Cluster): Promise<void> {
  const plan = store.plan<RunPlan>();
  if (!mediumRecord(store) && store.phase !== 'created') {
    throw new GodwitError('GW1004', `Run ${store.run} was not begun with a medium`, { details: { run: store.run } });
  }
  if ((await target.identity()) === plan.targetId) return;
  throw new GodwitError('GW1003', `Run ${options.run} was begun differently: --to is another replica set`, {
    details: { run: options.run },
  });
}

type Mutable<T> = { -readonly [K in keyof T]: T[K] };

function contextOf(
  options: ImportOptions,
  store: RunStore,
  target: Cluster,
  signal: AbortSignal,
): Mutable<LoadWork> & Pick<RunContext, 'clock'> {
  const plan = store.plan<RunPlan>();
  const throttle = new Throttle(systemClock);
  if (options.maxMbps) throttle.limit(options.maxMbps * 1e6, `--max-mbps ${options.maxMbps}`);
  const meter = new Meter(systemClock);
  meter.startFrom(store);
  const work: Mutable<LoadWork> & Pick<RunContext, 'clock'> = {
    options: options as ImportOptions & MigrateOptions,
    store,
    target,
    selection: makeSelection(plan.include, plan.exclude, plan.rename),
    clock: systemClock,
    meter,
    throttle,
    signal,
    gate: () => waitWhilePaused(store, signal),
    onFault: () => undefined,
    retry: (other) => ({
      clock: systemClock,
      signal: other ?? signal,
      deadlineMs: options.retryForSeconds * 1000,
      onRetry: (error) => work.onFault(error),
    }),
  };
  return work;
}
