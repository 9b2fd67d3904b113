import { existsSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { snapshotOf } from '../../../test/contract/compare-world.ts';
import { Database } from './database.ts';
import { DuckdbCompareEngine } from './index.ts';

const never = new AbortController().signal;
let dir = '';
beforeAll(() => {
  dir = mkdtempSync(join(tmpdir(), 'godwit-duckdb-test-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Would run for days. */
const ENDLESS = 'SELECT count(*) FROM range(100000000) a, range(100000000) b WHERE (a.range * b.range) % 7 = 8';

test.each([0, 200])('a statement that runs is stopped, %i ms after it was begun', async (afterMs) => {
  const stop = new AbortController();
  await using database = await Database.open({ tempDir: dir }, stop.signal);
  const running = database.rows(ENDLESS, 'Counting');
  setTimeout(() => stop.abort(), afterMs);
  await expect(running).rejects.toMatchObject({ code: 'GW8001' });
});

test('the list of what was found is stopped while it is written, and not taken for a whole one', async () => {
  const old = new Map(Array.from({ length: 200_000 }, (_, i) => [`key ${i}`, []] as const));
  const world = { columns: [], old, new: new Map(), pending: new Set<string>(), tombstone: new Set<string>() };
  const input = await snapshotOf(world, join(dir, 'many'), 2);
  const stop = new AbortController();
  // The last part has been looked at: what follows is writing.
  const onProgress = (share: number) => share === 1 && stop.abort();
  const engine = new DuckdbCompareEngine({ tempDir: join(dir, 'temporary'), onProgress });
  const file = join(dir, 'list');
  await expect(engine.missing(input, file, stop.signal)).rejects.toMatchObject({ code: 'GW8001' });
  expect([existsSync(file), existsSync(`${file}.unfinished`)]).toEqual([false, false]);
  expect(readdirSync(join(dir, 'temporary'))).toEqual([]);
});

test('a large list comes whole and in order, with little memory', async () => {
  const keys = Array.from({ length: 120_000 }, (_, i) => `${(i * 7919) % 120_000} ${'x'.repeat(150)}`);
  const old = new Map(keys.map((k) => [k, []] as const));
  const world = { columns: [], old, new: new Map(), pending: new Set<string>(), tombstone: new Set<string>() };
  const input = await snapshotOf(world, join(dir, 'large'), 3);
  const shares: number[] = [];
  const options = { tempDir: dir, memoryMb: 60, threads: 1, onProgress: (share: number) => shares.push(share) };
  // The order of the lines is checked by who writes them.
  expect(await new DuckdbCompareEngine(options).missing(input, join(dir, 'whole'), never)).toBe(120_000);
  expect(shares.map((share) => Math.round(share * 3))).toEqual([1, 2, 3]);
});

test('a key that is there twice is not passed over', async () => {
  const row = ['x'] as const;
  const world = {
    columns: ['c'],
    old: new Map([['a', row]]),
    new: new Map([['a', row]]),
    pending: new Set<string>(),
    tombstone: new Set<string>(),
  };
  const input = await snapshotOf(world, join(dir, 'twice'), 1);
  await using database = await Database.open({}, never);
  const file = input.newFiles.replace('*', '0');
  await database.run(`COPY (FROM '${file}' UNION ALL FROM '${file}') TO '${file}.2' (FORMAT parquet)`, 'Doubling');
  const doubled = { ...input, newFiles: `${file}.2`, oldFiles: input.oldFiles.replace('*', '0') };
  const whole = {
    ...doubled,
    pendingFiles: input.pendingFiles.replace('*', '0'),
    tombstoneFiles: input.tombstoneFiles.replace('*', '0'),
  };
  const compared = new DuckdbCompareEngine().compare(whole, join(dir, 'twice', 'out'), never);
  await expect(compared).rejects.toMatchObject({ code: 'GW9001' });
});

test('too little memory, and files that are none, are told with what to do', async () => {
  const old = new Map(Array.from({ length: 10 }, (_, i) => [`key ${i}`, []] as const));
  const world = { columns: [], old, new: new Map(), pending: new Set<string>(), tombstone: new Set<string>() };
  const input = await snapshotOf(world, join(dir, 'few'), 1);
  const starved = new DuckdbCompareEngine({ memoryMb: 1 }).missing(input, join(dir, 'out'), never);
  await expect(starved).rejects.toMatchObject({ code: 'GW1009', message: expect.stringContaining('Out of Memory') });
  writeFileSync(input.newFiles.replace('*', '0'), 'no parquet');
  const unreadable = new DuckdbCompareEngine().missing(input, join(dir, 'out'), never);
  await expect(unreadable).rejects.toMatchObject({ code: 'GW1009' });
  const nowhere = new DuckdbCompareEngine({ tempDir: join(input.newFiles.replace('*', '0'), 'x') });
  await expect(nowhere.missing(input, join(dir, 'out'), never)).rejects.toMatchObject({ code: 'GW1009' });
});

test('a list that cannot be written is an error', async () => {
  const world = {
    columns: [],
    old: new Map(),
    new: new Map(),
    pending: new Set<string>(),
    tombstone: new Set<string>(),
  };
  const input = await snapshotOf(world, join(dir, 'empty'), 1);
  const nowhere = join(dir, 'not there', 'out');
  await expect(new DuckdbCompareEngine().missing(input, nowhere, never)).rejects.toMatchObject({ code: 'GW1009' });
});
