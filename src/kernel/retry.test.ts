import { expect, test } from 'vitest';
import type { Clock } from './clock.ts';
import { GodwitError } from './errors.ts';
import { withRetry } from './retry.ts';

function stepClock(): Clock & { at: number } {
  const clock = {
    at: 0,
    now: () => clock.at,
    sleep: async (ms: number) => {
      clock.at += ms;
    },
  };
  return clock;
}

const never = new AbortController().signal;
const fault = () => new GodwitError('GW3001', 'Lost', { details: { host: 'h' } });

test('passing faults are repeated with doubling waits until one attempt succeeds', async () => {
  const waits: number[] = [];
  let attempts = 0;
  const result = await withRetry(
    {
      clock: stepClock(),
      signal: never,
      deadlineMs: 60_000,
      onRetry: (_error, _attempt, waitMs) => waits.push(waitMs),
    },
    async () => {
      attempts += 1;
      if (attempts <= 10) throw fault();
      return 'done';
    },
  );
  expect(result).toBe('done');
  expect(waits).toEqual([50, 100, 200, 400, 800, 1_600, 3_200, 5_000, 5_000, 5_000]);
});

test('after the deadline the fault becomes GW3004, with its cause and facts', async () => {
  const clock = stepClock();
  const error = await withRetry({ clock, signal: never, deadlineMs: 10_000 }, async () => {
    throw fault();
  }).catch((thrown: unknown) => thrown as GodwitError);
  expect(error).toMatchObject({
    code: 'GW3004',
    details: { host: 'h', lastCode: 'GW3001' },
    cause: { code: 'GW3001' },
  });
  expect(clock.at).toBeGreaterThan(10_000);
  expect(clock.at).toBeLessThanOrEqual(15_050);
});

test('the deadline counts from the first fault, not from the beginning', async () => {
  const clock = stepClock();
  let attempts = 0;
  await withRetry({ clock, signal: never, deadlineMs: 1_000 }, async () => {
    attempts += 1;
    if (attempts === 1) clock.at += 3_600_000;
    if (attempts < 3) throw fault();
  });
  expect(attempts).toBe(3);
});

test('progress starts deadline and waits afresh', async () => {
  const clock = stepClock();
  const waits: number[] = [];
  let attempts = 0;
  await withRetry(
    { clock, signal: never, deadlineMs: 200, onRetry: (_error, _attempt, waitMs) => waits.push(waitMs) },
    async (progressed) => {
      attempts += 1;
      if (attempts === 100) return;
      if (attempts % 3 === 0) progressed();
      throw fault();
    },
  );
  expect(attempts).toBe(100);
  expect(Math.max(...waits)).toBe(200);
});

test.each(['GW5001', 'GW4001', 'GW9001', 'GW3004'] as const)('%s passes at once', async (code) => {
  let attempts = 0;
  const error = new GodwitError(code, 'x');
  const work = withRetry({ clock: stepClock(), signal: never, deadlineMs: 1e9 }, async () => {
    attempts += 1;
    throw error;
  });
  await expect(work).rejects.toBe(error);
  expect(attempts).toBe(1);
});

test('an error that is none of ours passes as it is', async () => {
  const error = new TypeError('x');
  await expect(
    withRetry({ clock: stepClock(), signal: never, deadlineMs: 1e9 }, () => Promise.reject(error)),
  ).rejects.toBe(error);
});

test('a stop ends it: before an attempt, instead of an error, and in the middle of a wait', async () => {
  const stop = new AbortController();
  const clock = stepClock();
  let attempts = 0;
  const work = withRetry(
    { clock: { now: clock.now, sleep: async () => stop.abort() }, signal: stop.signal, deadlineMs: 1e9 },
    async () => {
      attempts += 1;
      throw fault();
    },
  );
  await expect(work).rejects.toMatchObject({ code: 'GW8001' });
  expect(attempts).toBe(1);

  const during = new AbortController();
  const reason = new GodwitError('GW7006', 'Too slow');
  await expect(
    withRetry({ clock, signal: during.signal, deadlineMs: 1e9 }, async () => {
      during.abort(reason);
      throw new Error('the socket was closed under it');
    }),
  ).rejects.toBe(reason);
});
