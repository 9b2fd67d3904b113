import { expect, test } from 'vitest';
import type { RunStore } from '../../state/index.ts';
import { Meter, sumTotals } from './meter.ts';

function setUp() {
  const clock = { at: 0, now: () => clock.at, sleep: async () => undefined };
  return { clock, meter: new Meter(clock) };
}

test('counts by unit and in all; what is taken back is gone', () => {
  const { meter } = setUp();
  meter.copied('a', 5, 50);
  meter.copied('b', 1, 10);
  meter.copied('a', -2, -20);
  expect(meter.unit('a')).toEqual({ docs: 3, bytes: 30 });
  expect(meter.unit('unknown')).toEqual({ docs: 0, bytes: 0 });
  expect([meter.copyDocs, meter.copyBytes]).toEqual([4, 40]);
  meter.verified(2, 20);
  expect([meter.verifyDocs, meter.verifyBytes]).toEqual([2, 20]);
});

test('begins with what earlier processes finished', () => {
  const { meter } = setUp();
  const chunkTotals = () => [{ unit: 'a', total: 9, done: 2, docs: 90, bytes: 900, docsDone: 20, bytesDone: 200 }];
  meter.startFrom({ chunkTotals } as unknown as RunStore);
  expect(meter.unit('a')).toEqual({ docs: 20, bytes: 200 });
  expect(sumTotals(chunkTotals())).toEqual({ docs: 90, bytes: 900 });
  expect(sumTotals([])).toEqual({ docs: 0, bytes: 0 });
});

test('rates are those of the last seconds, and never negative', () => {
  const { clock, meter } = setUp();
  expect(meter.rates).toEqual({ bytes: 0, docs: 0, entries: 0 });
  meter.read();
  expect(meter.rates.bytes).toBe(0);
  for (let second = 1; second <= 20; second += 1) {
    clock.at = second * 1000;
    meter.copied('a', second <= 10 ? 100 : 1, second <= 10 ? 1_000 : 10);
    meter.entries += 5;
    meter.read();
  }
  expect(meter.rates).toEqual({ bytes: 10, docs: 1, entries: 5 });
  meter.copied('a', -500, -5_000);
  clock.at = 21_000;
  meter.read();
  expect(meter.rates.bytes).toBe(0);
  // Two readings at the same instant divide by nothing.
  const { meter: fresh } = setUp();
  fresh.read();
  fresh.copied('a', 1, 1);
  fresh.read();
  expect(fresh.rates.bytes).toBe(0);
});
