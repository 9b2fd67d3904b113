import { expect, test } from 'vitest';
import { Pace } from './pace.ts';

test('calls are made on the spot until one is slow, and then not for 25 times as long', () => {
  const pace = new Pace();
  expect(pace.isQuick(0)).toBe(true);
  pace.took(0, 0.05);
  expect(pace.isQuick(0.05)).toBe(true);
  pace.took(1, 3);
  expect(pace.isQuick(52.9)).toBe(false);
  expect(pace.isQuick(53)).toBe(true);
});
