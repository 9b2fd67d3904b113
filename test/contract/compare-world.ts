/** Snapshots for `CompareEngine`, and what has to be found in them, said without any engine. */
import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import { csvToParquet } from '../../src/adapters/duckdb/index.ts';
import type { CompareInput, CompareSummary } from '../../src/kernel/remodel/index.ts';

export type Text = string | null;

export interface World {
  readonly columns: readonly string[];
  readonly old: ReadonlyMap<string, readonly Text[]>;
  readonly new: ReadonlyMap<string, readonly Text[]>;
  readonly pending: ReadonlySet<string>;
  readonly tombstone: ReadonlySet<string>;
}

const never = new AbortController().signal;

/** CSV as PostgreSQL's COPY writes it with FORCE_QUOTE: NULL is an empty field without quotes. */
export function csvOf(header: readonly string[], rows: Iterable<readonly Text[]>): string {
  const field = (value: Text) => (value === null ? '' : `"${value.replaceAll('"', '""')}"`);
  return [header.join(), ...[...rows].map((row) => row.map(field).join())].map((line) => `${line}\n`).join('');
}

/** The world as a snapshot on disk, in so many parts. */
export async function snapshotOf(world: World, dir: string, parts: number): Promise<CompareInput> {
  mkdirSync(dir, { recursive: true });
  const header = ['k', ...world.columns.map((_, i) => `c${i}`)];
  const write = (name: string, text: string) => {
    const file = join(dir, `${name}.csv`);
    writeFileSync(file, text);
    return file;
  };
  const rowsOf = (table: ReadonlyMap<string, readonly Text[]>) => [...table].map(([k, row]) => [k, ...row]);
  const keysOf = (keys: ReadonlySet<string>) => [...keys].map((k) => [k]);
  const exported = {
    snapshot: 'made up',
    oldFile: write('old', csvOf(header, rowsOf(world.old))),
    newFile: write('new', csvOf(header, rowsOf(world.new).reverse())),
    pendingFile: write('pending', csvOf(['k'], keysOf(world.pending))),
    tombstoneFile: write('tombstone', csvOf(['k'], keysOf(world.tombstone))),
    columns: world.columns,
  };
  return csvToParquet(exported, join(dir, 'parquet'), { parts }, never);
}

/** The file of a part: the last `*` of the path is its place. */
export function partFile(files: string, part: number): string {
  const at = files.lastIndexOf('*');
  return `${files.slice(0, at)}${part}${files.slice(at + 1)}`;
}

/** Writes the files of one side again, with a column as BIGINT. */
export async function withBigint(files: string, parts: number, column: string): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:');
  const connection = await instance.connect();
  for (let part = 0; part < parts; part += 1) {
    const file = partFile(files, part).replaceAll("'", "''");
    const pattern = file.replace(/[*?[]/g, '[$&]');
    await connection.run(
      `CREATE OR REPLACE TABLE t AS SELECT * REPLACE (${column}::BIGINT AS ${column}) FROM '${pattern}'`,
    );
    await connection.run(`COPY t TO '${file}' (FORMAT parquet)`);
  }
  connection.closeSync();
  instance.closeSync();
}

const byBytes = (a: string, b: string) => Buffer.compare(Buffer.from(a), Buffer.from(b));

/** The file that `missing` has to write. */
export function missingFileOf({ old, new: made, pending, tombstone }: World): string {
  const lacking = [...old.keys()].filter((k) => !made.has(k) && !pending.has(k) && !tombstone.has(k));
  return lacking.sort(byBytes).map((k) => `${JSON.stringify(k)}\n`).join(''); // biome-ignore format: one line
}

/** The file that `compare` has to write. */
export function compareFileOf(world: World): string {
  const keys = [...new Set([...world.old.keys(), ...world.new.keys()])].sort(byBytes);
  const lines = keys.map((k) => {
    const found = world.pending.has(k) ? undefined : differenceOf(world, k);
    return found === undefined ? '' : `${JSON.stringify({ k, ...found })}\n`;
  });
  return lines.join('');
}

function differenceOf({ columns, old, new: made, tombstone }: World, k: string) {
  const [before, after] = [old.get(k), made.get(k)];
  if (after === undefined) return { kind: tombstone.has(k) ? 'resurrected' : 'missing', columns: [] };
  if (before === undefined) return { kind: 'extra', columns: [] };
  const names = columns.filter((_, i) => before[i] !== after[i]);
  return names.length === 0 ? undefined : { kind: 'different', columns: names };
}

/** The summary that `compare` has to give, but for the hash. */
export function countsOf(world: World): Omit<CompareSummary, 'sql'> {
  const lines = compareFileOf(world).split('\n').slice(0, -1);
  const kinds = lines.map((line) => (JSON.parse(line) as { readonly kind: string }).kind);
  const count = (kind: string) => kinds.filter((each) => each === kind).length;
  return {
    oldRows: world.old.size,
    newRows: world.new.size,
    pending: world.pending.size,
    missing: count('missing'),
    extra: count('extra'),
    resurrected: count('resurrected'),
    different: count('different'),
  };
}
