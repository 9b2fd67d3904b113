/** That a storm can go wrong: a storm among processes that lie is never well, and one among honest ones is. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Lie } from './application.ts';
import { Lane } from './lane.ts';
import { compilePrograms, type Programs } from './programs.ts';

let lane: Lane;
let programs: Programs;
beforeAll(async () => {
  programs = await compilePrograms();
  lane = await Lane.open(programs);
});
afterAll(async () => {
  await lane?.close();
  await programs?.guard?.close();
});

let seed = 0;
function shortStorm(lie?: Lie) {
  seed += 1;
  return lane.storm({ seed, faults: 3, broker: 'none', log: () => undefined, isShort: true, ...(lie ? { lie } : {}) });
}

test('an honest application is found to be well', async () => {
  const { wrong, end, counts } = await shortStorm();
  expect(wrong).toEqual([]);
  expect(end).toBe('rolled back');
  expect(counts.writes).toBeGreaterThan(100);
});

test('a read from the past is found', async () => {
  const { wrong } = await shortStorm('stale');
  expect(wrong.some((what) => what.startsWith('stale read of '))).toBe(true);
});

test('an acknowledged write that was not made is found, by readers and at the end', async () => {
  const { wrong } = await shortStorm('lost');
  expect(wrong.some((what) => what.startsWith('stale read of '))).toBe(true);
  expect(wrong.some((what) => /^\d+ is .*, not /.test(what))).toBe(true);
});

test('a deleted customer who is there again is found, by readers and at the end', async () => {
  const { wrong } = await shortStorm('resurrected');
  expect(wrong.some((what) => /^stale read of .* → gone$/.test(what))).toBe(true);
  expect(wrong.some((what) => /^\d+ is \[.*, not gone$/.test(what))).toBe(true);
});
