/** A made-up snapshot, exported as CSV, with a few injected differences. */
import { join } from 'node:path';
import { DuckDBInstance } from '@duckdb/node-api';
import type { ExportedSnapshot } from '../../src/kernel/remodel/index.ts';

export const SNAPSHOT_COLUMNS = ['email', 'name', 'plan', 'price', 'currency', 'since', 'status', 'note'] as const;

/** What is injected into the row of a number, counted from the start: ten rows of each kind, spread over all. */
const INJECTED = ['missing', 'extra', 'resurrected', 'different', 'pending'] as const;
const TIMES = 10;

interface Injected {
  readonly row: number;
  readonly kind: (typeof INJECTED)[number];
  readonly time: number;
}

function injected(rows: number): readonly Injected[] {
  const step = Math.floor(rows / (INJECTED.length * TIMES));
  if (step < 1) throw new Error(`--rows must be at least ${INJECTED.length * TIMES}`);
  return Array.from({ length: INJECTED.length * TIMES }, (_, i) => ({
    row: i * step,
    kind: INJECTED[i % INJECTED.length] as Injected['kind'],
    time: Math.floor(i / INJECTED.length),
  }));
}

const keyOf = (row: number) => String(1_000_000_000 + row * 7);

export function csvFilesOf(dir: string): ExportedSnapshot {
  return {
    snapshot: 'made up',
    oldFile: join(dir, 'old-*.csv'),
    newFile: join(dir, 'new-*.csv'),
    pendingFile: join(dir, 'pending.csv'),
    tombstoneFile: join(dir, 'tombstone.csv'),
    columns: SNAPSHOT_COLUMNS,
  };
}

/** Two files a table, as two workers export them; the new rows lie in another order than the old ones. */
export async function makeSnapshot(dir: string, rows: number): Promise<void> {
  const instance = await DuckDBInstance.create(':memory:', { memory_limit: '2GB', temp_directory: dir });
  const connection = await instance.connect();
  const list = (...kinds: readonly Injected['kind'][]) =>
    injected(rows)
      .filter(({ kind }) => kinds.includes(kind))
      .map(({ row }) => row)
      .join(', ');
  const copy = (select: string, name: string) =>
    connection.run(`COPY (${select}) TO '${join(dir, name)}' (FORMAT csv, HEADER, FORCE_QUOTE *)`);
  const half = Math.floor(rows / 2);
  const halves = [`range(0, ${half})`, `range(${half}, ${rows})`];
  for (const [i, range] of halves.entries()) {
    await copy(`${selectOf(PLAIN)} FROM ${range} r(i) WHERE i NOT IN (${list('extra')})`, `old-${i}.csv`);
  }
  const backwards = halves.map((range) => `(SELECT ${rows - 1} - i AS i FROM ${range} r(i))`);
  for (const [i, range] of backwards.entries()) {
    const lacking = list('missing', 'resurrected');
    await copy(`${selectOf(changedColumns(rows))} FROM ${range} r WHERE i NOT IN (${lacking})`, `new-${i}.csv`);
  }
  await copy(`SELECT ${KEY} AS k FROM range(0, ${rows}) r(i) WHERE i IN (${list('pending')})`, 'pending.csv');
  await copy(`SELECT ${KEY} AS k FROM range(0, ${rows}) r(i) WHERE i IN (${list('resurrected')})`, 'tombstone.csv');
  connection.closeSync();
  instance.closeSync();
}

const KEY = '(1000000000 + i * 7)::VARCHAR';
const PLAIN: readonly string[] = [
  `'customer' || i || '@example.com'`,
  `'Name ' || (i * 31 % 1000003)`,
  `['free', 'basic', 'team', 'business'][1 + i % 4]`,
  `(i % 10000) || '.' || lpad((i % 100)::VARCHAR, 2, '0')`,
  `['EUR', 'USD', 'GBP'][1 + i % 3]`,
  `strftime(make_timestamp(1500000000000000 + i * 1234567), '%Y-%m-%dT%H:%M:%S.%fZ')`,
  `CASE WHEN i % 3 = 0 THEN 'active' WHEN i % 3 = 1 THEN '' END`,
  `CASE WHEN i % 5 = 0 THEN 'said "hello", then left' ELSE hex(i * 2654435761) END`,
];

function selectOf(expressions: readonly string[]): string {
  return `SELECT ${[`${KEY} AS k`, ...expressions.map((text, i) => `${text} AS c${i}`)].join(', ')}`;
}

/** The columns of the new rows: with a blank at the end, or NULL for '' and '' for NULL, where they are to differ. */
function changedColumns(rows: number): readonly string[] {
  return PLAIN.map((plain, column) => {
    const differing = injected(rows).filter((each) => columnsThatDiffer(each).includes(column));
    const other = column === 6 ? `CASE WHEN (${plain}) IS NULL THEN '' END` : `(${plain}) || ' '`;
    return `CASE WHEN i IN (${differing.map(({ row }) => row).join(', ')}) THEN ${other} ELSE ${plain} END`;
  });
}

/** One column for each of the first times, then two; what is pending differs in all. */
function columnsThatDiffer({ kind, time }: Injected): readonly number[] {
  if (kind === 'pending') return PLAIN.map((_, i) => i);
  if (kind !== 'different') return [];
  return time < PLAIN.length ? [time] : [0, PLAIN.length - 1];
}

/** The file that an engine has to write. */
export function expectedLines(name: 'missing' | 'compare', rows: number): string {
  const found = injected(rows).filter(({ kind }) => kind !== 'pending');
  const lines =
    name === 'missing'
      ? found.filter(({ kind }) => kind === 'missing').map(({ row }) => JSON.stringify(keyOf(row)))
      : found.map((each) => {
          const names = columnsThatDiffer(each).map((column) => SNAPSHOT_COLUMNS[column]);
          return JSON.stringify({ k: keyOf(each.row), kind: each.kind, columns: names });
        });
  return lines.map((line) => `${line}\n`).join('');
}
