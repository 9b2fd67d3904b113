import type { Clock } from '../../../kernel/clock.ts';
import { isRetryable } from '../../../kernel/errors.ts';
import type { Throttle } from '../../../kernel/throttle.ts';
import { type Baseline, decide, LEAST_OPS, type Limits, merge, startAlone, startControl } from './decide.ts';
import type { LoadSample } from './neighbour-load.ts';

const LOOK_EVERY_MS = 1_000;
const LEARN_LOOKS = 5;

interface Watch {
  readonly sample: () => Promise<LoadSample>;
  readonly clock: Clock;
  readonly signal: AbortSignal;
}

/**
 * What neighbours feel before the copy begins; undefined when there were too
 * few operations to say. Takes about five seconds.
 */
export async function learnBaseline(watch: Watch): Promise<Baseline | undefined> {
  let seen: Baseline | undefined;
  await look(watch);
  for (let i = 0; i < LEARN_LOOKS; i += 1) {
    await watch.clock.sleep(LOOK_EVERY_MS, watch.signal);
    if (watch.signal.aborted) return undefined;
    const sample = await look(watch);
    if (sample) seen = merge(seen, sample);
  }
  return seen && seen.reads.ops + seen.writes.ops >= LEAST_OPS * 5
    ? { reads: seen.reads, writes: seen.writes }
    : undefined;
}

/** Keeps the rate of a throttle right until the signal is set; then lifts the limit. */
export async function controlThrottle(
  watch: Watch &
    Limits & {
      readonly throttle: Throttle;
      readonly baseline?: Baseline;
      /** Nobody else is at work at the beginning: full speed until somebody is. */
      readonly alone?: boolean;
      /** Bytes copied so far; without it the limit may run ahead of the copy. */
      readonly copied?: () => number;
    },
): Promise<void> {
  const { throttle, clock, signal } = watch;
  let state = watch.alone ? startAlone(watch) : startControl(watch.baseline, watch);
  throttle.limit(state.bytesPerSecond, state.reason);
  await look(watch);
  let before = watch.copied?.() ?? 0;
  for (;;) {
    await clock.sleep(LOOK_EVERY_MS, signal);
    if (signal.aborted) break;
    const copied = watch.copied?.();
    const copiedPerSecond = copied === undefined ? undefined : ((copied - before) * 1000) / LOOK_EVERY_MS;
    before = copied ?? 0;
    const sample = await look(watch);
    // Nobody to ask, for a moment: the rate stays.
    if (!sample) continue;
    state = decide(state, { ...sample, copiedPerSecond }, watch);
    throttle.limit(state.bytesPerSecond, state.reason);
  }
  throttle.limit(Number.POSITIVE_INFINITY, undefined);
}

async function look(watch: Watch): Promise<LoadSample | undefined> {
  try {
    return await watch.sample();
  } catch (error) {
    if (isRetryable(error) || watch.signal.aborted) return undefined;
    throw error;
  }
}
