/**
 * How fast the copy may be, decided from what its neighbours feel: faster step
 * by step while they feel nothing, half as fast as soon as they do. A pure
 * function from one look to the next, so that every case can be tested.
 */
import { addHistograms, countFrom, countOf, slowFrom } from './histogram.ts';
import type { Latency, LoadSample } from './neighbour-load.ts';

export interface Baseline {
  readonly reads: Latency;
  readonly writes: Latency;
}

export interface Limits {
  /** How many times slower than before neighbours' operations may be. */
  readonly limit: number;
  /** `--max-mbps`. */
  readonly maxBytesPerSecond?: number;
}

export interface ControlState {
  readonly bytesPerSecond: number;
  readonly reason: string | undefined;
  /** What neighbours felt without us; undefined until enough was seen. */
  readonly baseline?: Baseline;
  /** Before the first slowing the rate doubles, after it it grows by steps. */
  readonly doubling: boolean;
  /** The rate to go on with when neighbours appear again. */
  readonly finiteRate: number;
  /** Looks without neighbours, one after another. */
  readonly quiet: number;
  /** Looks at the lowest rate with neighbours still slow. */
  readonly atFloor: number;
  /** Looks since something was last strained. */
  readonly calm: number;
  /** Operations not yet judged: too few to mean something. */
  readonly pending?: Baseline;
  /** Operations at the present rate, until they are enough to judge the slowest of them, and looks it took so far. */
  readonly tail?: Baseline;
  readonly tailLooks: number;
  readonly lagSeconds?: number;
}

const MB = 1_000_000;
const START = 4 * MB;
const FLOOR = 1 * MB;
const CEILING = 1024 * MB;
/** After the first slowing the rate grows by an eighth, within these. */
const LEAST_STEP = MB / 4;
const MOST_STEP = 4 * MB;
/** Fewer operations have no mean worth the name. */
export const LEAST_OPS = 20;
/** Fewer per second are nobody's business traffic. */
const QUIET_OPS_PER_SECOND = 2;
const QUIET_LOOKS = 3;
/** So many looks after a strain the copy is left alone again. */
const CALM_LOOKS = 30;
/** Slower than this share of its operations is what a kind's tail means; so many operations show it. */
const TAIL_SHARE = 0.01;
const TAIL_OPS = 300;
/** Rare operations would hold the copy at one rate for minutes: after so many looks the mean must do. */
const TAIL_LOOKS = 10;
/** So slow differences nobody feels, and clocks jitter by as much. */
const UNFELT_MS = 0.3;
const LAG_SECONDS = 10;
const DIRTY_PERCENT = 15;
const USED_PERCENT = 95;
/** When so many looks at the lowest rate change nothing, it is not us. */
const NOT_US_LOOKS = 15;

/** Nobody else is there at the beginning: full speed, until somebody or some strain appears. */
export function startAlone(limits: Limits): ControlState {
  const start = startControl(undefined, limits);
  return { ...alone(start, limits), quiet: QUIET_LOOKS };
}

export function startControl(baseline: Baseline | undefined, limits: Limits): ControlState {
  const rate = Math.min(baseline ? START : FLOOR, limits.maxBytesPerSecond ?? CEILING);
  return {
    bytesPerSecond: rate,
    reason: `${baseline ? 'starting moderately' : 'learning what neighbours feel'}; copy at ${mbps(rate)}`,
    ...(baseline ? { baseline } : {}),
    doubling: true,
    finiteRate: rate,
    quiet: 0,
    atFloor: 0,
    calm: CALM_LOOKS,
    tailLooks: 0,
  };
}

/** A look, with how fast the copy really was, where that is known. */
export type Look = LoadSample & { readonly copiedPerSecond?: number };

/** The state after one more look. */
export function decide(state: ControlState, sample: Look, limits: Limits): ControlState {
  const quiet = isQuiet(sample) ? state.quiet + 1 : 0;
  const strain = sample.strain?.slower ?? strainOf(state, sample);
  const next = { ...state, quiet, calm: strain ? 0 : state.calm + 1, lagSeconds: sample.lagSeconds };
  if (strain) return slower(next, sample, limits, strain);
  if (quiet >= QUIET_LOOKS) {
    // What was strained a moment ago would be again at once.
    if (next.calm >= CALM_LOOKS && !sample.strain?.hold) return alone(next, limits);
    return sample.strain?.hold ? held(next, sample.strain.hold) : easing(next, sample, limits);
  }
  // A pause of neighbours says nothing about the rate.
  if (quiet > 0) return next;

  const seen = merge(state.pending, sample);
  if (state.baseline === undefined) return learn(next, seen);
  if (seen.reads.ops < LEAST_OPS && seen.writes.ops < LEAST_OPS) return { ...next, ...returned(state), pending: seen };
  const tail = merge(state.tail, sample);
  const slowest = tailOf(tail, state.baseline);
  const worst = slowest?.slow ? slowest : worstOf(seen, state.baseline, limits.limit);
  const judged = { ...next, ...returned(state), pending: undefined, ...tailAfter(state, slowest !== undefined, tail) };
  if (!worst)
    return {
      ...judged,
      reason: `${state.reason?.split(';')[0] ?? 'neighbours unknown'}; copy at ${mbps(judged.finiteRate)}`,
    };
  if (worst.slow) {
    const atFloor = judged.finiteRate <= FLOOR ? state.atFloor + 1 : 0;
    if (atFloor >= NOT_US_LOOKS)
      return {
        ...judged,
        baseline: seen,
        atFloor: 0,
        reason: `${worst.words}, not because of the copy: taken as usual from now on; copy at ${mbps(judged.finiteRate)}`,
      };
    return slower({ ...judged, atFloor }, sample, limits, worst.words);
  }
  if (sample.strain?.hold) return held(judged, sample.strain.hold);
  if (sample.cacheUsed > USED_PERCENT) {
    return at(judged, judged.finiteRate, limits, `the cache of the source is ${Math.round(sample.cacheUsed)} % full`);
  }
  // Where the slowest operations can be seen, no faster before they were.
  if (hasHistogram(tail) && (slowest ? !slowest.grows : judged.tailLooks > 0)) return judged;
  const raised = judged.doubling ? judged.finiteRate * 2 : judged.finiteRate + stepAt(judged.finiteRate);
  return at({ ...judged, atFloor: 0 }, Math.min(raised, mostUseful(judged, sample)), limits, worst.words);
}

/** Near the limit a large step would be felt at once, and halved again. */
function stepAt(rate: number): number {
  return Math.max(LEAST_STEP, Math.min(MOST_STEP, rate / 8));
}

/** Near a limit: neither faster nor slower. */
function held(state: ControlState, why: string): ControlState {
  if (!Number.isFinite(state.bytesPerSecond)) return state;
  return { ...state, reason: `${why}; copy at ${mbps(state.bytesPerSecond)}` };
}

/** Without neighbours to judge by, faster step by step after a strain. */
function easing(state: ControlState, sample: Look, limits: Limits): ControlState {
  if (!Number.isFinite(state.bytesPerSecond)) return state;
  const raised = Math.min(state.finiteRate + stepAt(state.finiteRate), mostUseful(state, sample));
  return at(state, raised, limits, state.reason?.split(';')[0] ?? 'easing off');
}

/** Trouble that is not a matter of neighbours' latency. */
function strainOf(state: ControlState, sample: LoadSample): string | undefined {
  const lag = sample.lagSeconds ?? 0;
  if (lag > LAG_SECONDS && lag > (state.lagSeconds ?? 0))
    return `secondaries of the source are ${Math.round(lag)} s behind and fall back`;
  if (sample.cacheDirty > DIRTY_PERCENT)
    return `${Math.round(sample.cacheDirty)} % of the cache of the source is dirty`;
  return undefined;
}

function isQuiet(sample: LoadSample): boolean {
  return sample.reads.ops + sample.writes.ops < QUIET_OPS_PER_SECOND * Math.max(1, sample.seconds);
}

/** Nobody else is there. */
function alone(state: ControlState, limits: Limits): ControlState {
  const most = limits.maxBytesPerSecond;
  if (most === undefined)
    return { ...state, bytesPerSecond: Number.POSITIVE_INFINITY, reason: undefined, pending: undefined };
  return { ...state, bytesPerSecond: most, reason: `--max-mbps; copy at ${mbps(most)}`, pending: undefined };
}

/** Neighbours are there again: back to a rate that they are known to bear. */
function returned(state: ControlState): Pick<ControlState, 'bytesPerSecond' | 'reason'> {
  if (state.bytesPerSecond === state.finiteRate) return { bytesPerSecond: state.finiteRate, reason: state.reason };
  return { bytesPerSecond: state.finiteRate, reason: `neighbours are active again; copy at ${mbps(state.finiteRate)}` };
}

/** Without a baseline the copy stays slow until the neighbours were seen enough. */
function learn(state: ControlState, seen: Baseline): ControlState {
  const enough = seen.reads.ops + seen.writes.ops >= LEAST_OPS * 5;
  const held = {
    ...state,
    bytesPerSecond: state.finiteRate,
    reason: `learning what neighbours feel; copy at ${mbps(state.finiteRate)}`,
  };
  return enough ? { ...held, baseline: seen, pending: undefined } : { ...held, pending: seen };
}

/** Half of what the copy does: half of a limit that it does not reach would change nothing. */
function slower(state: ControlState, sample: Look, limits: Limits, why: string): ControlState {
  const limit = Number.isFinite(state.bytesPerSecond) ? state.finiteRate : CEILING;
  const real = sample.copiedPerSecond ? Math.min(limit, sample.copiedPerSecond) : state.finiteRate;
  return { ...at(state, real / 2, limits, why), doubling: false, tail: undefined, tailLooks: 0 };
}

/** A limit far above what the copy does would take too long to come down. */
function mostUseful(state: ControlState, sample: Look): number {
  if (sample.copiedPerSecond === undefined) return CEILING;
  return Math.max(START, state.finiteRate, sample.copiedPerSecond * 2);
}

function at(state: ControlState, rate: number, limits: Limits, why: string): ControlState {
  const bounded = Math.max(FLOOR, Math.min(rate, CEILING, limits.maxBytesPerSecond ?? CEILING));
  return { ...state, bytesPerSecond: bounded, finiteRate: bounded, reason: `${why}; copy at ${mbps(bounded)}` };
}

/** The kind that suffers most, in words; undefined when no kind can be compared. */
function worstOf(seen: Baseline, baseline: Baseline, limit: number): { slow: boolean; words: string } | undefined {
  let worst: { slow: boolean; words: string; ratio: number } | undefined;
  for (const kind of ['reads', 'writes'] as const) {
    const now = seen[kind];
    const before = baseline[kind];
    if (now.ops < LEAST_OPS || before.ops < LEAST_OPS) continue;
    const ratio = now.meanMs / Math.max(before.meanMs, 0.001);
    const slow = now.meanMs > Math.max(before.meanMs * limit, before.meanMs + UNFELT_MS);
    const words = `neighbours' ${kind} ${now.meanMs.toFixed(1)} ms, ${ratio.toFixed(1)} × before`;
    if (!worst || (slow && !worst.slow) || (slow === worst.slow && ratio > worst.ratio)) worst = { slow, words, ratio };
  }
  return worst;
}

function hasHistogram(seen: Baseline): boolean {
  return seen.reads.histogram !== undefined || seen.writes.histogram !== undefined;
}

function tailAfter(state: ControlState, judged: boolean, tail: Baseline): Pick<ControlState, 'tail' | 'tailLooks'> {
  const over = judged || state.tailLooks + 1 >= TAIL_LOOKS;
  return over ? { tail: undefined, tailLooks: 0 } : { tail, tailLooks: state.tailLooks + 1 };
}

/**
 * Whether more operations than usual are among the slow: a mean hides one in a
 * hundred that waits. Undefined until enough were seen. Few slow ones more are
 * chance (two standard deviations of it).
 */
function tailOf(seen: Baseline, baseline: Baseline): { slow: boolean; grows: boolean; words: string } | undefined {
  let worst: { slow: boolean; grows: boolean; words: string; share: number } | undefined;
  for (const kind of ['reads', 'writes'] as const) {
    const now = seen[kind].histogram;
    const before = baseline[kind].histogram;
    if (!now || !before || countOf(now) < TAIL_OPS || countOf(before) < TAIL_OPS) continue;
    const fromMicros = slowFrom(before, TAIL_SHARE);
    const total = countOf(now);
    const share = countFrom(now, fromMicros) / total;
    const slow = share > TAIL_SHARE + 2 * Math.sqrt(TAIL_SHARE / total);
    const words = `${(share * 100).toFixed(1)} % of neighbours' ${kind} over ${(fromMicros / 1000).toFixed(1)} ms`;
    if (!worst || share > worst.share) worst = { slow, grows: share <= TAIL_SHARE, words, share };
  }
  return worst;
}

/** Both together: means weighted by their operations, histograms added. */
export function merge(a: Baseline | undefined, b: Baseline): Baseline {
  const both = (kind: 'reads' | 'writes'): Latency => {
    const ops = (a?.[kind].ops ?? 0) + b[kind].ops;
    const total = (a ? a[kind].ops * a[kind].meanMs : 0) + b[kind].ops * b[kind].meanMs;
    const histograms = [a?.[kind].histogram, b[kind].histogram].filter((each) => each !== undefined);
    const histogram = histograms.length > 0 ? histograms.reduce(addHistograms) : undefined;
    return { ops, meanMs: ops > 0 ? total / ops : 0, ...(histogram ? { histogram } : {}) };
  };
  return { reads: both('reads'), writes: both('writes') };
}

function mbps(bytesPerSecond: number): string {
  const value = bytesPerSecond / MB;
  return `${value < 10 ? value.toFixed(1) : Math.round(value)} MB/s`;
}
