import { describe, expect, test } from 'vitest';
import type { Clock } from '../../../kernel/clock.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { Throttle } from '../../../kernel/throttle.ts';
import { type ControlState, decide, startAlone, startControl } from './decide.ts';
import type { LoadSample } from './neighbour-load.ts';
import { controlThrottle, learnBaseline } from './throttle-controller.ts';

const MB = 1_000_000;
const LIMITS = { limit: 1.25 };
const BASELINE = { reads: { ops: 1000, meanMs: 0.5 }, writes: { ops: 1000, meanMs: 1.6 } };

function felt(writeMs: number, over: Partial<LoadSample> = {}): LoadSample {
  return {
    seconds: 1,
    reads: { ops: 200, meanMs: 0.5 },
    writes: { ops: 200, meanMs: writeMs },
    cacheDirty: 1,
    cacheUsed: 60,
    ...over,
  };
}
const QUIET = felt(0, { reads: { ops: 0, meanMs: 0 }, writes: { ops: 0, meanMs: 0 } });

function stateAfter(
  samples: readonly LoadSample[],
  from: ControlState = startControl(BASELINE, LIMITS),
  limits = LIMITS,
): ControlState {
  return samples.reduce((state, sample) => decide(state, sample, limits), from);
}
const times = (n: number, sample: LoadSample): LoadSample[] => Array.from({ length: n }, () => sample);

describe('the rate of the copy', () => {
  test('doubles while neighbours feel nothing, halves when they do, then grows by steps', () => {
    const grown = stateAfter(times(3, felt(1.6)));
    expect(grown.bytesPerSecond).toBe(32 * MB);
    const slowed = stateAfter([felt(3.1)], grown);
    expect(slowed.bytesPerSecond).toBe(16 * MB);
    expect(slowed.reason).toBe("neighbours' writes 3.1 ms, 1.9 × before; copy at 16 MB/s");
    expect(stateAfter(times(2, felt(1.7)), slowed).bytesPerSecond).toBe(20.25 * MB);
  });

  test('differences that nobody feels do not count', () => {
    const fast = { reads: { ops: 1000, meanMs: 0.05 }, writes: { ops: 1000, meanMs: 0.1 } };
    expect(
      stateAfter([felt(0.35, { reads: { ops: 200, meanMs: 0.3 } })], startControl(fast, LIMITS)).bytesPerSecond,
    ).toBe(8 * MB);
  });

  test('few operations are gathered before they are judged', () => {
    const few = felt(9, { reads: { ops: 0, meanMs: 0 }, writes: { ops: 8, meanMs: 9 } });
    const start = startControl(BASELINE, LIMITS);
    expect(stateAfter(times(2, few), start).bytesPerSecond).toBe(start.bytesPerSecond);
    expect(stateAfter(times(3, few), start).bytesPerSecond).toBe(2 * MB);
  });

  test('is not limited while nobody else is there, and comes back when they do', () => {
    const grown = stateAfter(times(2, felt(1.6)));
    expect(stateAfter(times(2, QUIET), grown).bytesPerSecond).toBe(16 * MB);
    const free = stateAfter(times(3, QUIET), grown);
    expect(free).toMatchObject({ bytesPerSecond: Number.POSITIVE_INFINITY, reason: undefined });
    expect(stateAfter([felt(9)], free).bytesPerSecond).toBe(8 * MB);
    const limited = { ...LIMITS, maxBytesPerSecond: 20 * MB };
    expect(stateAfter(times(4, QUIET), startControl(BASELINE, limited), limited)).toMatchObject({
      bytesPerSecond: 20 * MB,
      reason: '--max-mbps; copy at 20 MB/s',
    });
    expect(stateAfter(times(9, felt(1.6)), startControl(BASELINE, limited), limited).bytesPerSecond).toBe(20 * MB);
  });

  test('follows replication lag that grows, and a dirty cache', () => {
    const lagging = stateAfter([felt(1.6, { lagSeconds: 12 })]);
    expect(lagging).toMatchObject({ bytesPerSecond: 2 * MB, reason: /12 s behind/ });
    // Delayed on purpose, or catching up: not growing.
    expect(stateAfter([felt(1.6, { lagSeconds: 12 })], lagging).bytesPerSecond).toBe(2.25 * MB);
    expect(stateAfter([felt(1.6, { cacheDirty: 18 })])).toMatchObject({
      bytesPerSecond: 2 * MB,
      reason: /18 % of the cache/,
    });
    expect(stateAfter([{ ...QUIET, cacheDirty: 18 }])).toMatchObject({ bytesPerSecond: 2 * MB });
    expect(stateAfter([felt(1.6, { cacheUsed: 97 })])).toMatchObject({ bytesPerSecond: 4 * MB, reason: /97 % full/ });
  });

  test('follows strain of any member, and is left alone only after some calm', () => {
    const strained = {
      ...QUIET,
      copiedPerSecond: 80 * MB,
      strain: { slower: 'target x is 12 s behind and falls back' },
    };
    const slowed = stateAfter([strained], startAlone(LIMITS));
    expect(slowed).toMatchObject({
      bytesPerSecond: 40 * MB,
      reason: 'target x is 12 s behind and falls back; copy at 40 MB/s',
    });
    const still = { ...QUIET, copiedPerSecond: 40 * MB };
    const easing = stateAfter(times(4, still), slowed);
    expect(easing.bytesPerSecond).toBe(56 * MB);
    expect(easing.reason).toBe('target x is 12 s behind and falls back; copy at 56 MB/s');
    expect(stateAfter(times(40, still), slowed).bytesPerSecond).toBe(Number.POSITIVE_INFINITY);
    // Near a limit it is neither raised nor lowered, with neighbours and without.
    const near = { strain: { hold: 'source y is 65 % busy' } };
    expect(stateAfter(times(4, { ...still, ...near }), slowed)).toMatchObject({
      bytesPerSecond: 40 * MB,
      reason: 'source y is 65 % busy; copy at 40 MB/s',
    });
    expect(stateAfter(times(4, felt(1.6, near))).bytesPerSecond).toBe(4 * MB);
  });

  test('stays near what the copy really does', () => {
    const slowCopy = { ...felt(1.6), copiedPerSecond: 30 * MB };
    const state = stateAfter(times(9, slowCopy));
    expect(state.bytesPerSecond).toBe(60 * MB);
    expect(stateAfter([{ ...felt(3), copiedPerSecond: 30 * MB } as LoadSample], state).bytesPerSecond).toBe(15 * MB);
  });

  test('goes by the slowest operations where the server counts them', () => {
    const latency = (slow: number): LoadSample['reads'] => ({
      ops: 200,
      meanMs: 1.6,
      histogram: new Map([
        [1024, 200 - slow],
        [4096, slow],
      ]),
    });
    const look = (slow: number): LoadSample => felt(1.6, { reads: latency(0), writes: latency(slow) });
    const start = startControl(
      {
        reads: latency(0),
        writes: {
          ...latency(1),
          ops: 1000,
          histogram: new Map([
            [1024, 995],
            [4096, 5],
          ]),
        },
      },
      LIMITS,
    );
    // The mean is as before; one in fifty waits.
    const slowed = stateAfter(times(2, look(8)), start);
    expect(slowed.bytesPerSecond).toBe(2 * MB);
    expect(slowed.reason).toBe("4.0 % of neighbours' writes over 4.1 ms; copy at 2.0 MB/s");
    // Nothing is faster before enough of them were seen.
    expect(stateAfter([look(1)], start).bytesPerSecond).toBe(4 * MB);
    expect(stateAfter(times(2, look(1)), start).bytesPerSecond).toBe(8 * MB);
    // A neighbour too rare for that does not hold the copy for ever.
    const rare = felt(1.6, {
      reads: { ops: 0, meanMs: 0 },
      writes: { ops: 20, meanMs: 1.6, histogram: new Map([[1024, 20]]) },
    });
    expect(stateAfter(times(9, rare), start).bytesPerSecond).toBe(4 * MB);
    expect(stateAfter(times(10, rare), start).bytesPerSecond).toBe(8 * MB);
  });

  test('without a baseline it stays slow until neighbours were seen', () => {
    const start = startControl(undefined, LIMITS);
    expect(start.bytesPerSecond).toBe(1 * MB);
    const learned = stateAfter([felt(2)], start);
    expect(learned).toMatchObject({ bytesPerSecond: 1 * MB, baseline: { writes: { meanMs: 2 } } });
    expect(stateAfter([felt(2)], learned).bytesPerSecond).toBe(2 * MB);
  });

  test('never starves: when its lowest rate changes nothing, the new latency is taken as usual', () => {
    const floor = stateAfter(times(8, felt(9)));
    expect(floor.bytesPerSecond).toBe(1 * MB);
    const relearned = stateAfter(times(20, felt(9)), floor);
    expect(relearned.bytesPerSecond).toBeGreaterThan(1 * MB);
  });
});

/** Time passes only when somebody sleeps. */
function testClock(): Clock & { ms: number } {
  const clock = {
    ms: 0,
    now: () => clock.ms,
    sleep: async (ms: number) => {
      clock.ms += ms;
    },
  };
  return clock;
}

test('the loop learns, limits with a reason, lives through faults and lifts the limit at the end', async () => {
  const clock = testClock();
  const stop = new AbortController();
  const throttle = new Throttle(clock);
  const seen: (string | undefined)[] = [];
  let n = 0;
  const sample = async () => {
    n += 1;
    seen.push(throttle.reason);
    if (n === 9) throw new GodwitError('GW3001', 'gone for a moment');
    if (n === 12) stop.abort();
    return felt(n > 9 ? 3.2 : 1.6);
  };
  const baseline = await learnBaseline({ sample, clock, signal: stop.signal });
  expect(baseline?.writes).toEqual({ ops: 1000, meanMs: 1.6 });
  expect(clock.ms).toBe(5000);
  await controlThrottle({ throttle, sample, clock, signal: stop.signal, limit: 1.25, baseline });
  expect(seen).toContain("neighbours' writes 3.2 ms, 2.0 × before; copy at 4.0 MB/s");
  expect(throttle).toMatchObject({ bytesPerSecond: Number.POSITIVE_INFINITY, reason: undefined });
});
