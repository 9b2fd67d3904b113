/** Random trees, then random operations on them: each copy ends equal in every field, as an independent program sees it. */
import { mkdirSync } from 'node:fs';
import { join } from 'node:path';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { FILE_SYSTEMS, mountFresh } from './file-system.ts';
import { Operator, operations, tryCaptured } from './model.ts';
import { differences, move, Scratch } from './move.ts';
import { needPrograms } from './packages.ts';

test.each(FILE_SYSTEMS)('random trees and random changes of them end equal, on %s', async (kind) => {
  await needPrograms('python3');
  await using source = await mountFresh(kind, 1_000);
  await using target = await mountFresh(kind, 1_000);
  let run = 0;
  let done = 0;
  await fc.assert(
    fc.asyncProperty(operations(5, 120), operations(1, 60), async (first, second) => {
      run += 1;
      using scratch = new Scratch();
      const [from, to] = [join(source.dir, `${run}`), join(target.dir, `${run}`)];
      mkdirSync(from);
      await using operator = new Operator(from);
      for (const list of [first, second]) {
        done += await operator.carryOut(list);
        const { result } = await move(from, to, { rounds: 8 }, scratch);
        expect(result.outcome, result.because).toBe('proven');
        expect(await differences(from, to)).toEqual([]);
      }
    }),
    { numRuns: Number(process.env['GODWIT_RUNS'] ?? 8), interruptAfterTimeLimit: 100_000 },
  );
  // A generator that makes nothing would prove nothing.
  expect(done / run).toBeGreaterThan(8);
});

test.each(FILE_SYSTEMS)('rounds that are told of changes end equal without a proof, on %s', async (kind) => {
  await needPrograms('python3');
  await using source = await mountFresh(kind, 1_000);
  await using target = await mountFresh(kind, 1_000);
  const sum = { done: 0, lost: 0, told: 0 };
  const runs = 6;
  const first = FILE_SYSTEMS.indexOf(kind) * runs + 1;
  for (let seed = first; seed < first + runs; seed += 1) {
    const { done, lost, told } = await tryCaptured(seed, source.dir, target.dir);
    sum.done += done;
    sum.lost += lost;
    sum.told += told;
  }
  expect(sum.done / runs).toBeGreaterThan(12);
  expect(sum.told).toBeGreaterThan(runs);
  // Losses were really made.
  expect(sum.lost).toBeGreaterThanOrEqual(4);
});
