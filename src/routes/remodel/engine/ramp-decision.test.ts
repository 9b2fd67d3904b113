import { expect, test } from 'vitest';
import type { Rails } from './guardrails.ts';
import { decideRamp, type RampMemory, STEPS } from './ramp-decision.ts';

const WELL: Rails = { writeP50Ms: 2, writeP99Ms: 4, failure: undefined, lagMs: 10, quarantined: 0, lockWaits: 8 };
const LIMITS = { soakMs: 60_000, latencyLimit: 1.5, lagLimitMs: 2_000 };
const NEW: RampMemory = { baseline: undefined, greenSince: undefined };

test('goes through every step, each after the soak window, and ends after one more at 100 %', () => {
  let [ramp, memory, now] = [0, NEW, 0];
  const seen: [number, number][] = [];
  for (let looks = 0; looks < 1_000; looks += 1, now += 10_000) {
    const decision = decideRamp(ramp, WELL, memory, now, LIMITS);
    if (decision.to !== ramp) seen.push([decision.to, now]);
    ({ to: ramp, memory } = decision);
    if (decision.done) break;
  }
  expect(seen.map(([to]) => to)).toEqual([...STEPS]);
  const gaps = seen.slice(1).map(([, at], index) => at - (seen[index]?.[1] ?? 0));
  expect(gaps).toEqual(gaps.map(() => 70_000));
  expect(now - (seen.at(-1)?.[1] ?? 0)).toBe(70_000);
});

test.each<[string, Partial<Rails>, RegExp]>([
  ['a slow write', { writeP50Ms: 4.1 }, /a write takes 4\.1 ms, limit 4\.0 ms/],
  ['a failing write', { writeP50Ms: undefined, failure: 'GW3003' }, /a sampled write failed with GW3003/],
  ['a lag', { lagMs: 2_001 }, /2001 ms behind, limit 2000 ms/],
  ['quarantine', { quarantined: 3 }, /3 identities are in quarantine/],
  ['lock waits', { lockWaits: 9 }, /9 sessions wait for a lock/],
])('%s steps down and starts the soak window afresh', (_, wrong, reason) => {
  const memory = { baseline: 2, greenSince: 0 };
  const decision = decideRamp(2_500, { ...WELL, ...wrong }, memory, 59_000, LIMITS);
  expect(decision).toMatchObject({ to: 1_000, done: false, memory: { baseline: 2, greenSince: undefined } });
  expect(decision.reason).toMatch(reason);
  const after = decideRamp(1_000, WELL, decision.memory, 60_000, LIMITS);
  expect(after.to).toBe(1_000);
});

test('a share between the steps goes to its neighbours; the lowest goes to none', () => {
  const wrong = { ...WELL, quarantined: 1 };
  const soaked = { baseline: 2, greenSince: 0 };
  expect(decideRamp(700, WELL, soaked, 60_000, LIMITS).to).toBe(1_000);
  expect(decideRamp(700, wrong, soaked, 60_000, LIMITS).to).toBe(500);
  expect(decideRamp(100, wrong, soaked, 60_000, LIMITS).to).toBe(0);
  expect(decideRamp(0, wrong, NEW, 0, LIMITS)).toMatchObject({ to: 0, done: false });
});

test('below two milliseconds more, a slower write is noise', () => {
  const memory = { baseline: 0.5, greenSince: 0 };
  expect(decideRamp(500, { ...WELL, writeP50Ms: 2.4 }, memory, 0, LIMITS).to).toBe(500);
  expect(decideRamp(500, { ...WELL, writeP50Ms: 2.6 }, memory, 0, LIMITS).to).toBe(100);
});
