import { expect, test } from 'vitest';
import { type MutationCounts, tryMutated } from '../../../test/hive/mutate.ts';

const SLICE = 100_000;

test(`${SLICE} hives and logs with something wrong are read or refused, and none takes long`, () => {
  const counts: MutationCounts = { read: 0, refused: {}, slowestMs: 0 };
  const before = process.memoryUsage().rss;
  for (let seed = 1; seed <= SLICE; seed += 1) tryMutated(seed, counts);
  const { GW2301 = 0, GW2302 = 0, GW2303 = 0 } = counts.refused;
  // The changes reach deep: a good part is refused as damaged, a good part does not matter.
  expect(GW2302).toBeGreaterThan(SLICE * 0.3);
  expect(counts.read).toBeGreaterThan(SLICE * 0.2);
  expect(Math.min(GW2301, GW2303)).toBeGreaterThan(0);
  expect(counts.slowestMs).toBeLessThan(5_000);
  expect(process.memoryUsage().rss - before).toBeLessThan(1 << 29);
}, 600_000);
