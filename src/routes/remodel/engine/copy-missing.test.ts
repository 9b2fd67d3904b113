import { expect, test } from 'vitest';
import { nextRate } from './copy-missing.ts';

test('what hurts is halved, from what really goes, not from a limit that nobody reaches', () => {
  expect(nextRate(Number.POSITIVE_INFINITY, 20_000, true)).toBe(10_000);
  expect(nextRate(50_000, 20_000, true)).toBe(10_000);
  expect(nextRate(5_000, 20_000, true)).toBe(2_500);
  expect(nextRate(60, 0, true)).toBe(50);
});

test('it goes back up by doubling, to no limit or to the one that was given', () => {
  expect(nextRate(10_000, 10_000, false)).toBe(20_000);
  expect(nextRate(10_000, 10_000, false, 15_000)).toBe(15_000);
  expect(nextRate(50_000, 10_000, false)).toBe(Number.POSITIVE_INFINITY);
  expect(nextRate(50_000, 10_000, false, 60_000)).toBe(60_000);
  expect(nextRate(Number.POSITIVE_INFINITY, 10_000, false)).toBe(Number.POSITIVE_INFINITY);
});
