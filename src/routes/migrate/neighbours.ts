import {
  controlThrottle,
  type LoadSample,
  learnBaseline,
  MembersLoad,
  NeighbourLoad,
  NO_STRAIN,
  strainOf,
} from '../../adapters/mongodb/index.ts';
import type { RunContext } from './run-context.ts';

const FIRST_LOOK_MS = 400;
/** Fewer operations a second are nobody's business traffic. */
const QUIET_OPS_PER_SECOND = 2;

/** What is watched, and what is slowed down. */
type NeighbourWatch = Pick<
  RunContext,
  'signal' | 'source' | 'selection' | 'clock' | 'throttle' | 'meter' | 'waitingFor'
> & {
  readonly options: Pick<RunContext['options'], 'throttle' | 'neighbourLatencyLimit' | 'maxMbps' | 'maxSourceLoad'>;
  readonly store: Pick<RunContext['store'], 'event'>;
  /** Absent where nothing is written to a cluster. */
  readonly target?: RunContext['target'];
  readonly frozen?: RunContext['frozen'];
};

/**
 * Slows the copy down by what it does to others on the source, and by what the
 * members of both sides suffer from. Where others are at work, their latency
 * without us is learned before the copy begins; where nobody is, the copy
 * starts at once and they are looked out for.
 */
export async function watchNeighbours(run: NeighbourWatch): Promise<{ stop(): Promise<void> }> {
  const { throttle: mode, maxSourceLoad, neighbourLatencyLimit: limit, maxMbps } = run.options;
  // Switched off, only what was asked for by name counts.
  if (mode === 'off' && maxSourceLoad === undefined) return { stop: () => Promise.resolve() };
  const over = new AbortController();
  const signal = AbortSignal.any([run.signal, over.signal]);
  const watched = watchMembers(run, mode === 'off');
  const watch = { sample: watched.sample, clock: run.clock, signal };
  const isQuiet = async (waitMs: number) => {
    await run.clock.sleep(waitMs, signal);
    // A member that does not answer now says nothing about its load.
    const seen = await watched.sample().catch(() => undefined);
    return seen === undefined || seen.reads.ops + seen.writes.ops < QUIET_OPS_PER_SECOND * Math.max(seen.seconds, 0.1);
  };
  await watched.sample().catch(() => undefined);
  const quiet = await isQuiet(FIRST_LOOK_MS);
  run.waitingFor = quiet
    ? undefined
    : 'learning how fast the neighbours are without us; the copy begins in a few seconds';
  const baseline = quiet ? undefined : await learnBaseline(watch);
  run.waitingFor = undefined;
  const watching = controlThrottle({
    ...watch,
    limit,
    maxBytesPerSecond: maxMbps === undefined ? undefined : maxMbps * 1e6,
    throttle: run.throttle,
    baseline,
    alone: quiet,
    copied: () => run.meter.copyBytes + run.meter.verifyBytes,
  }).catch((error) =>
    run.store.event('throttle-off', { reason: error instanceof Error ? error.message : String(error) }),
  );
  return {
    stop: async () => {
      over.abort();
      await watching;
      watched.close();
    },
  };
}

/** Neighbours and members in one look. */
function watchMembers(
  run: NeighbourWatch,
  membersOnly: boolean,
): { sample: () => Promise<LoadSample>; close: () => void } {
  const now = () => run.clock.now();
  const neighbours = new NeighbourLoad(run.source, run.selection, now);
  const members = [run.source, ...(run.target ? [run.target] : [])].map((cluster) => new MembersLoad(cluster, now));
  let strained = NO_STRAIN;
  const sample = async (): Promise<LoadSample> => {
    const [felt, ...loads] = await Promise.all([neighbours.sample(), ...members.map((member) => member.sample())]);
    // A member that stands still for the copy is behind because of that.
    const others = loads.flat().filter(({ address }) => !(run.frozen?.isHeld && address === run.frozen.address));
    const { strain, state } = strainOf(strained, others, run.options.maxSourceLoad);
    strained = state;
    const none = { ops: 0, meanMs: 0 };
    return membersOnly
      ? { seconds: felt.seconds, reads: none, writes: none, cacheDirty: 0, cacheUsed: 0, strain }
      : { ...felt, lagSeconds: undefined, strain };
  };
  return { sample, close: () => members.forEach((member) => void member.close()) };
}
