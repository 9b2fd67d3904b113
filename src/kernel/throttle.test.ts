import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { Clock } from './clock.ts';
import { Throttle } from './throttle.ts';

const never = new AbortController().signal;

/** Time passes only in sleeps, and only the sleeper moves it. */
function stepClock(): Clock & { at: number; onSleep?: () => void } {
  const clock = {
    at: 0,
    onSleep: undefined as (() => void) | undefined,
    now: () => clock.at,
    sleep: async (ms: number) => {
      clock.at += ms;
      clock.onSleep?.();
    },
  };
  return clock;
}

test('without a limit nothing waits and no reason is shown', async () => {
  const clock = stepClock();
  const throttle = new Throttle(clock);
  for (let i = 0; i < 100; i += 1) await throttle.take(1e9, never);
  expect(clock.at).toBe(0);
  expect(throttle.bytesPerSecond).toBe(Number.POSITIVE_INFINITY);
  throttle.limit(Number.POSITIVE_INFINITY, 'ignored');
  expect(throttle.reason).toBeUndefined();
});

test('any sequence of takes keeps the rate, but for the last message and a quarter of a second', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1_000, max: 1e8 }),
      fc.array(
        fc.record({ share: fc.double({ min: 0, max: 3, noNaN: true }), idleMs: fc.integer({ min: 0, max: 3_000 }) }),
        {
          minLength: 1,
          maxLength: 20,
        },
      ),
      async (rate, steps) => {
        const clock = stepClock();
        const throttle = new Throttle(clock);
        throttle.limit(rate, 'test');
        let moved = 0;
        for (const { share, idleMs } of steps) {
          clock.at += idleMs;
          await throttle.take(Math.round(share * rate), never);
          // What was moved before this message, which may go as soon as nothing is owed.
          expect(moved).toBeLessThanOrEqual((clock.at / 1000) * rate + rate / 4 + 1);
          moved += Math.round(share * rate);
        }
      },
    ),
    { numRuns: 100 },
  );
});

test('it does not wait longer than the rate asks for', async () => {
  const clock = stepClock();
  const throttle = new Throttle(clock);
  throttle.limit(1_000, 'test');
  for (let i = 0; i < 10; i += 1) await throttle.take(500, never);
  // Nine messages had to be earned; each wait ends at most a millisecond late.
  expect(clock.at).toBeGreaterThanOrEqual(4_500);
  expect(clock.at).toBeLessThan(4_550);
});

test('idle time is saved up for a quarter of a second and no more', async () => {
  const clock = stepClock();
  const throttle = new Throttle(clock);
  throttle.limit(1_000, 'test');
  clock.at = 60_000;
  for (let i = 0; i < 4; i += 1) await throttle.take(250, never);
  // 250 saved up, one message on credit, two waited for.
  expect(clock.at - 60_000).toBeGreaterThanOrEqual(500);
});

test('a raised rate, and the end of a limit, are felt while waiting', async () => {
  const clock = stepClock();
  const throttle = new Throttle(clock);
  throttle.limit(1_000, 'slow');
  await throttle.take(100_000, never);
  clock.onSleep = () => {
    if (clock.at >= 1_000 && throttle.bytesPerSecond === 1_000) throttle.limit(1_000_000, 'faster');
  };
  await throttle.take(100_000, never);
  expect(clock.at).toBeLessThan(1_300);
  expect(throttle.reason).toBe('faster');
  const before = clock.at;
  clock.onSleep = () => throttle.limit(Number.POSITIVE_INFINITY, undefined);
  await throttle.take(1, never);
  expect(clock.at - before).toBeLessThanOrEqual(100);
  await throttle.take(1e12, never);
});

test('what was owed under an older limit is forgiven when a limit begins anew', async () => {
  const clock = stepClock();
  const throttle = new Throttle(clock);
  throttle.limit(1_000, 'test');
  await throttle.take(1e9, never);
  throttle.limit(Number.POSITIVE_INFINITY, undefined);
  throttle.limit(1_000, 'again');
  await throttle.take(1, never);
  expect(clock.at).toBe(0);
});

test('callers are served in turn, and a stop lets them all go', async () => {
  const clock = stepClock();
  const throttle = new Throttle(clock);
  throttle.limit(10, 'test');
  const order: number[] = [];
  await Promise.all([1, 2, 3].map((n) => throttle.take(10, never).then(() => void order.push(n))));
  expect(order).toEqual([1, 2, 3]);
  const stop = new AbortController();
  clock.onSleep = () => stop.abort();
  const began = clock.at;
  await Promise.all([1, 2, 3].map(() => throttle.take(1e6, stop.signal)));
  expect(clock.at - began).toBeLessThanOrEqual(200);
});

test('while there is a limit, turns are taken one at a time, in order, also past a failure', async () => {
  const throttle = new Throttle(stepClock());
  const log: string[] = [];
  const turn = (name: string, fails = false) =>
    throttle.turn(async () => {
      log.push(`${name} in`);
      await Promise.resolve();
      await Promise.resolve();
      log.push(`${name} out`);
      if (fails) throw new Error(name);
      return name;
    });
  await Promise.all([turn('a'), turn('b')]);
  expect(log).toEqual(['a in', 'b in', 'a out', 'b out']);
  log.length = 0;
  throttle.limit(1_000, 'neighbours');
  const results = await Promise.allSettled([turn('c'), turn('d', true), turn('e')]);
  expect(log).toEqual(['c in', 'c out', 'd in', 'd out', 'e in', 'e out']);
  expect(results.map((result) => result.status)).toEqual(['fulfilled', 'rejected', 'fulfilled']);
});
