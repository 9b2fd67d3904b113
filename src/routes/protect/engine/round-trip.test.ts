import { expect, test } from 'vitest';
import { RoundTrip } from './round-trip.ts';

test('a way that is slower than the least patience is found out about', () => {
  const trip = new RoundTrip(100);
  const takesMs = 900;
  let lost = 0;
  while (trip.patienceMs < takesMs) {
    trip.lost();
    lost += 1;
    expect(lost).toBeLessThan(10);
  }
  trip.answered(takesMs);
  expect(trip.patienceMs).toBe(2 * takesMs);
  for (let i = 0; i < 100; i += 1) trip.answered(10);
  expect(trip.patienceMs).toBe(100);
});

test('patience has an end', () => {
  const trip = new RoundTrip(100);
  for (let i = 0; i < 100; i += 1) trip.lost();
  expect(trip.patienceMs).toBe(1600);
});
