/** The sorted streams that a proof merges, and a snapshot's export is made of. */
import type pg from 'pg';
import type { Identity, Model } from '../../../kernel/remodel/index.ts';
import type { Snapshot } from './snapshot.ts';
import { type KeyOrder, keyOrder } from './snapshot-order.ts';
import { copyRows, RowCursor } from './snapshot-rows.ts';
import { literal, type SqlModel, type SqlTable } from './tables.ts';
import { readExpression } from './values.ts';

/** Identities from `from` on and before `to`; undefined: no bound. */
export interface KeyRange {
  readonly from: Identity | undefined;
  readonly to: Identity | undefined;
}

/** Cursors over one range of identities. The first field of every row is the identity. */
export interface Sources {
  /** Old rows: identity, then columns. */
  readonly old: RowCursor;
  /** Rows of the new tables in the order of `SqlModel.all`: identity, then columns. Only the root's when `byValue` is false. */
  readonly all: readonly RowCursor[];
  /** Identities with a mark: whether a change is on its way, one past the library waits to be merged, or the identity is in quarantine (`p`), and a tombstone (`t`). */
  readonly marks: RowCursor;
}

/** Opens the streams, each on a connection of its own. Without `byValue` they carry identities only. */
export async function openSources(
  snapshot: Snapshot,
  tables: SqlModel,
  range: KeyRange,
  byValue: boolean,
  signal: AbortSignal,
): Promise<Sources> {
  const order = keyOrder(tables.old.key.type);
  const open = async (select: string): Promise<RowCursor> =>
    new RowCursor(copyRows(await snapshot.join(), select, signal));
  const wanted = byValue ? tables.all : [tables.root];
  const [old, marks, ...all] = await Promise.all([
    open(selectRows(tables.old, order, range, byValue)),
    open(selectMarks(tables.model, order, range)),
    ...wanted.map((table) => open(selectRows(table, order, range, byValue))),
  ]);
  return { old: old as RowCursor, marks: marks as RowCursor, all };
}

const ALL: KeyRange = { from: undefined, to: undefined };

/** Streams of the new rows alone, in the order of `SqlModel.all`. */
export function openNew(snapshot: Snapshot, tables: SqlModel, signal: AbortSignal): Promise<readonly RowCursor[]> {
  const order = keyOrder(tables.old.key.type);
  return Promise.all(
    tables.all.map(
      async (table) => new RowCursor(copyRows(await snapshot.join(), selectRows(table, order, ALL, true), signal)),
    ),
  );
}

function selectRows(table: SqlTable, order: KeyOrder, range: KeyRange, byValue: boolean): string {
  const key = table.key.name;
  const columns = byValue ? table.columns : [];
  const values = columns.map(({ name, type, sqlType }) => readExpression(`t.${name}`, type, sqlType));
  const by = [order.ofColumn(`t.${key}`), ...(table.id === undefined ? [] : [`t.${table.id.name}`])];
  return `select ${[`t.${key}::text`, ...values].join(', ')} from ${table.name} t
    ${bounds(order.ofColumn(`t.${key}`), order, range)} order by ${(byValue ? by : by.slice(0, 1)).join(', ')}`;
}

function selectMarks(model: Model, order: KeyOrder, range: KeyRange): string {
  const of = (table: string, pending: boolean) =>
    `select identity, ${pending} as pending from godwit.${table} where remodel = ${literal(model.name)}`;
  return `select m.identity, case when bool_or(m.pending) then 'p' end, case when not bool_and(m.pending) then 't' end
    from (${of('outbox', true)} union all ${of('dirty', true)} union all ${of('quarantine', true)} union all ${of('tombstone', false)}) m
    ${bounds(order.ofIdentity('m.identity'), order, range)}
    group by m.identity order by ${order.ofIdentity('m.identity')}`;
}

function bounds(column: string, order: KeyOrder, { from, to }: KeyRange): string {
  const conditions = [
    ...(from === undefined ? [] : [`${column} >= ${order.constant(from)}`]),
    ...(to === undefined ? [] : [`${column} < ${order.constant(to)}`]),
  ];
  return conditions.length === 0 ? '' : `where ${conditions.join(' and ')}`;
}

/** Tables with fewer rows are read in one range. */
const ROWS_PER_RANGE = 500_000;

/** Cuts the identities into at most `most` ranges of about the same size, by a sample of the old table. */
export async function splitRanges(holder: pg.Client, tables: SqlModel, most: number): Promise<readonly KeyRange[]> {
  const { old } = tables;
  const size = await holder.query<{ n: string | null }>(
    `select greatest(reltuples, 0)::bigint::text as n from pg_class where oid = ${literal(old.name)}::regclass`,
  );
  const rows = Number(size.rows[0]?.n ?? 0);
  const count = Math.min(most, Math.ceil(rows / ROWS_PER_RANGE));
  if (count < 2) return [ALL];
  const order = keyOrder(old.key.type);
  const shares = Array.from({ length: count - 1 }, (_, i) => (i + 1) / count);
  const percent = Math.min(100, Math.max(0.01, (100 * 20_000) / rows));
  const key = order.ofColumn(`t.${old.key.name}`);
  const { rows: cuts } = await holder.query<{ cut: string | null }>(
    `select unnest(percentile_disc(array[${shares.join(', ')}]) within group (order by ${key}))::text as cut
       from ${old.name} t tablesample system (${percent})`,
  );
  const edges = [...new Set(cuts.map(({ cut }) => cut))].filter((cut) => cut !== null);
  return [undefined, ...edges].map((from, i) => ({ from, to: edges[i] }));
}
