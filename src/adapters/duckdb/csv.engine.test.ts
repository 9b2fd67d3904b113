import { createWriteStream, existsSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { inspect } from 'node:util';
import pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { csvOf } from '../../../test/contract/compare-world.ts';
import { NASTY_TEXTS } from '../../../test/contract/nasty-text.ts';
import { type PostgresServer, startPostgres } from '../../../test/servers/postgres.ts';
import { Database } from './database.ts';
import { archiveToParquet, csvToParquet } from './index.ts';
import { exactly, literal } from './text.ts';

const never = new AbortController().signal;
let dir = '';
let server: PostgresServer;
let client: pg.Client;

beforeAll(async () => {
  dir = mkdtempSync(join(tmpdir(), 'godwit-csv-'));
  server = await startPostgres();
  client = new pg.Client(server.uri);
  await client.connect();
});
afterAll(async () => {
  await client?.end();
  await server?.stop();
  rmSync(dir, { recursive: true, force: true });
});

/** What a Parquet file, or several, hold; as bytes, so that no decoder takes something off. */
async function readBack(files: string, columns: readonly string[]): Promise<(string | null)[][]> {
  await using database = await Database.open({}, never);
  const bytes = columns.map((name, i) => `encode("${name.replaceAll('"', '""')}") AS b${i}`);
  const rows = await database.rows(`SELECT ${bytes.join(', ')} FROM ${literal(files)}`, 'Reading');
  return rows.map((row) => columns.map((_, i) => textOf(row[`b${i}`])));
}

function textOf(value: unknown): string | null {
  return value === null ? null : Buffer.from(value as Uint8Array).toString('utf8');
}

const sorted = (rows: readonly (readonly (string | null)[])[]) => rows.map((row) => JSON.stringify(row)).sort();

function exported(name: string, oldFile: string) {
  const file = (table: string, text: string) => {
    const path = join(dir, `${name}-${table}.csv`);
    writeFileSync(path, text);
    return path;
  };
  return {
    snapshot: name,
    oldFile,
    newFile: file('new', 'k,c0\n'),
    pendingFile: file('pending', 'k\n""\n"a"\n'),
    tombstoneFile: file('tombstone', 'k\n'),
    columns: ['text'],
  };
}

const pairs: readonly (readonly [string, string | null])[] = [
  ...NASTY_TEXTS.map((text, i) => [text, NASTY_TEXTS.at(i - 1) as string] as const),
  ['with null', null],
];

test('what PostgreSQL exports arrives as it was, byte for byte', async () => {
  await client.query('create table nasty (k text primary key, c0 text)');
  await client.query('insert into nasty select * from unnest($1::text[], $2::text[])', [
    pairs.map(([k]) => k),
    pairs.map(([, value]) => value),
  ]);
  const csv = join(dir, 'old.csv');
  const copy = client.query(copyTo('copy nasty to stdout (format csv, header, force_quote *)'));
  await pipeline(copy, createWriteStream(csv));
  // The contract suite of the engines writes its CSV itself: it must be what PostgreSQL would have written.
  expect(readFileSync(csv, 'utf8') === csvOf(['k', 'c0'], pairs)).toBe(true);

  for (const parts of [1, 5]) {
    const out = join(dir, `parquet-${parts}`);
    const input = await csvToParquet(exported('nasty', csv), out, { parts }, never);
    expect(sorted(await readBack(input.oldFiles, ['k', 'c0']))).toEqual(sorted(pairs));
    expect(await readBack(input.newFiles, ['k', 'c0'])).toEqual([]);
    expect(sorted(await readBack(input.pendingFiles, ['k']))).toEqual(sorted([[''], ['a']]));
    expect(readdirSync(out)).toHaveLength(4 * parts);
  }
});

test('rows of one identity lie in the same part of every table', async () => {
  const keys = Array.from({ length: 1000 }, (_, i) => [`key ${i}`, 'x']);
  const csv = join(dir, 'keys.csv');
  writeFileSync(csv, csvOf(['k', 'c0'], keys));
  const snapshot = { ...exported('keys', csv), newFile: csv };
  const input = await csvToParquet(snapshot, join(dir, 'keys'), { parts: 4 }, never);
  for (let part = 0; part < 4; part += 1) {
    const [old, made] = [input.oldFiles, input.newFiles].map((files) => files.replace('*', String(part)));
    const rows = await readBack(old as string, ['k']);
    expect(rows.length).toBeGreaterThan(100);
    expect(sorted(rows)).toEqual(sorted(await readBack(made as string, ['k'])));
  }
});

test('several files of a table are one table', async () => {
  for (const [i, k] of ['a', 'b', 'c'].entries())
    writeFileSync(join(dir, `part-${i}.csv`), csvOf(['k', 'c0'], [[k, '']]));
  const input = await csvToParquet(exported('several', join(dir, 'part-*.csv')), join(dir, 'several'), {}, never);
  expect(sorted(await readBack(input.oldFiles, ['k', 'c0']))).toEqual(sorted([['a', ''], ['b', ''], ['c', '']])); // biome-ignore format: short
});

test('a value longer than what is usually read at once', async () => {
  const long = `${'é"\n'.repeat(3_600_000)}.`;
  const csv = join(dir, 'long.csv');
  writeFileSync(csv, csvOf(['k', 'c0'], [['a', 'short'], ['b', long], ['c', null]])); // biome-ignore format: short
  const input = await csvToParquet(exported('long', csv), join(dir, 'long'), {}, never);
  const rows = await readBack(input.oldFiles, ['k', 'c0']);
  expect(rows.map(([k, value]) => [k, value === long ? 'long' : value]).sort()).toEqual([
    ['a', 'short'],
    ['b', 'long'],
    ['c', null],
  ]);
});

test('text that looks like rows, wherever a thread begins to read', async () => {
  const trap = 'x,y\n"",""\nx,"y"\n';
  const rows = Array.from({ length: 40 }, (_, i) => [`key ${i}`, trap.repeat(60_000) + i] as const);
  const csv = join(dir, 'trap.csv');
  writeFileSync(csv, csvOf(['k', 'c0'], rows));
  const input = await csvToParquet(exported('trap', csv), join(dir, 'trap'), { threads: 4 }, never);
  const found = new Map((await readBack(input.oldFiles, ['k', 'c0'])) as [string, string][]);
  expect(found.size).toBe(rows.length);
  expect(rows.filter(([k, value]) => found.get(k) !== value).map(([k]) => k)).toEqual([]);
});

test('a row that was exported and is not in the file is an error', async () => {
  const csv = join(dir, 'counted.csv');
  writeFileSync(csv, csvOf(['k', 'c0'], [['a', 'b']]));
  const counts = { old: 1, new: 0, pending: 2, tombstone: 0 };
  const convert = (rows: typeof counts) =>
    csvToParquet({ ...exported('counted', csv), rows }, join(dir, 'counted'), {}, never);
  await convert(counts);
  await expect(convert({ ...counts, old: 2 })).rejects.toMatchObject({ code: 'GW1009' });
});

test.each([
  ['a field too few', 'k,c0\n"a","secret 1"\n"secret 2"\n'],
  ['a field too many', 'k,c0\n"a","b","secret 3"\n'],
  ['an end within quotes', 'k,c0\n"a","b"\n"b","secret 4'],
  ['an end within quotes, at the end of a line', 'k,c0\n"a","b"\n"b","secret 4\n'],
  ['an end within a row', 'k,c0\n"a","b"\n"secret 4",'],
  ['an end before the end of a line', 'k,c0\n"a","secret 4"'],
  ['text that is not UTF-8', Buffer.from([...Buffer.from('k,c0\n"secret 5","'), 0xff, 0xfe, ...Buffer.from('"\n')])],
  ['another header', 'c0,k\n"a","secret 6"\n'],
  ['nothing at all', ''],
])('%s is an error, and its text is not told', async (name, text) => {
  const csv = join(dir, 'broken.csv');
  writeFileSync(csv, text);
  const out = join(dir, `broken ${name}`);
  const error = await csvToParquet(exported('broken', csv), out, {}, never).then(
    () => undefined,
    (thrown: unknown) => thrown,
  );
  expect(error).toMatchObject({ code: 'GW1009' });
  expect(inspect(error, { depth: 9 })).not.toContain('secret');
  expect(existsSync(join(out, 'old-0.parquet'))).toBe(false);
});

test('an archive keeps names and texts', async () => {
  await client.query(
    `create table "Old ""table""" ("a,b" text, "Ünïque ""name""" numeric(9,3), plain boolean, when_ timestamptz)`,
  );
  await client.query(
    `insert into "Old ""table""" values ('', 1.500, true, '2026-01-02T03:04:05.6Z'), (null, null, null, null)`,
  );
  await client.query(`set time zone 'UTC'`);
  const csv = join(dir, 'archive.csv');
  await pipeline(client.query(copyTo('copy "Old ""table""" to stdout (format csv, header)')), createWriteStream(csv));
  const file = join(dir, "it's [the] archive.parquet");
  await archiveToParquet(csv, file, {}, never);
  expect(await readBack(exactly(file), ['a,b', 'Ünïque "name"', 'plain', 'when_'])).toEqual([
    ['', '1.500', 't', '2026-01-02 03:04:05.6+00'],
    [null, null, null, null],
  ]);
});

test('a file whose name is a pattern is that file, and not those that fit it', async () => {
  for (const name of ['star*', 'starfish', 'start']) writeFileSync(join(dir, `${name}.csv`), `name\n"${name}"\n`);
  await archiveToParquet(join(dir, 'star*.csv'), join(dir, 'star*.parquet'), {}, never);
  expect(await readBack(exactly(join(dir, 'star*.parquet')), ['name'])).toEqual([['star*']]);
});
