/** The SQL lane: the definition's SELECTs over a chunk of old rows, inserted without leaving the database. */
import type pg from 'pg';
import { GodwitError } from '../../../kernel/errors.ts';
import { childId, type Identity } from '../../../kernel/remodel/index.ts';
import { type Chunk, forgetDirty, ownedByOld } from './bulk-chunk.ts';
import { quote, type SqlColumn, type SqlModel, type SqlTable } from './tables.ts';

/** One new table's INSERT. */
interface Insert {
  readonly table: SqlTable;
  readonly select: string;
  /** SQL of each column, over `q`, the user's SELECT, and `d`, the derived ids. */
  readonly values: readonly string[];
  /** Where ids come from: the SELECT, or derived for one row an identity, or by the SELECT's `slot`. */
  readonly ids: 'given' | 'first' | 'slots';
}

/** Column that says which of an identity's rows it is, from 0, where their ids are derived. */
const SLOT = 'slot';

const PLANS = new WeakMap<SqlModel, Promise<readonly Insert[]>>();

/** @throws GodwitError GW5006 when a SELECT does not give what its table needs. */
export async function adoptChunkBySql(chunk: Chunk): Promise<{ adopted: number; refused: readonly Identity[] }> {
  const { client, tables } = chunk;
  let plan = PLANS.get(tables);
  if (plan === undefined) {
    plan = Promise.all(tables.all.map((table) => planInsert(client, tables, table)));
    PLANS.set(tables, plan);
    plan.catch(() => PLANS.delete(tables));
  }
  const inserts = await plan;
  const params: unknown[] = [chunk.identities];
  const ctes: string[] = [];
  for (const [i, insert] of inserts.entries())
    ctes.push(`t${i} as (${await insertSql(chunk, insert, params)} returning ${insert.table.key.name} as k)`);
  const { rows } = await client.query<{ olds: string; roots: string }>(
    `${withOld(tables)}, seen as (${forgetDirty(tables)}), ${ctes.join(', ')}
     select (select count(*) from "old")::text as olds,
            (select count(distinct o.${tables.old.key.name}) from "old" o
               join t0 on t0.k = o.${tables.old.key.name})::text as roots`,
    params,
  );
  const { olds, roots } = rows[0] as { olds: string; roots: string };
  if (olds !== roots)
    throw new GodwitError(
      'GW5006',
      `Remodel ${tables.model.name}: sql.up of ${tables.root.as} made root rows for ${roots} of ${olds} identities`,
    );
  return { adopted: Number(olds), refused: [] };
}

function withOld(tables: SqlModel): string {
  return `with "old" as materialized (${ownedByOld(tables, 'o.*')})`;
}

async function planInsert(client: pg.ClientBase, tables: SqlModel, table: SqlTable): Promise<Insert> {
  const { model, old } = tables;
  const select = (model.sql?.up[table.as] ?? '').trim().replace(/;$/, '');
  const { fields } = await client.query(
    `with "old" as (select * from ${old.name} where false) select * from (${select}\n) q limit 0`,
  );
  const given = new Set(fields.map(({ name }) => quote(name)));
  const wrong = (what: string) => new GodwitError('GW5006', `Remodel ${model.name}: sql.up of ${table.as} ${what}`);
  const derived = given.has(quote(SLOT)) ? 'slots' : 'first';
  const isDerived = table.id !== undefined && !given.has(table.id.name);
  const values = table.columns.map((column) => {
    if (given.has(column.name)) return `q.${column.name}`;
    if (isDerivable(table, column)) return `d.id::${column.sqlType}`;
    if (model.to[table.as]?.columns[column.property]?.isNullable) return `null::${column.sqlType}`;
    throw wrong(`gives no ${column.name}`);
  });
  if (!given.has(table.key.name)) throw wrong(`gives no ${table.key.name}`);
  const ids = isDerived ? derived : 'given';
  const known = new Set([...table.columns.map(({ name }) => name), ...(ids === 'slots' ? [quote(SLOT)] : [])]);
  for (const name of given) if (!known.has(name)) throw wrong(`gives ${name}, which the table does not have`);
  return { table, select, values, ids };
}

function isDerivable(table: SqlTable, column: SqlColumn): boolean {
  return column === table.id && (column.type === 'uuid' || column.type === 'text');
}

/** Ids are derived here and joined: SHA-1 is in the database only with an extension. */
async function insertSql(chunk: Chunk, insert: Insert, params: unknown[]): Promise<string> {
  const { table, select, values, ids } = insert;
  const names = table.columns.map(({ name }) => name).join(', ');
  const start = `insert into ${table.name} (${names}) select ${values.join(', ')} from (${select}\n) q`;
  if (ids === 'given') return start;
  const rows = ids === 'slots' ? await slotsOf(chunk, insert) : chunk.identities.map((k) => ({ k, slot: 0 }));
  const { name } = chunk.tables.model;
  params.push(
    rows.map(({ k }) => k),
    rows.map(({ slot }) => slot),
    rows.map(({ k, slot }) => childId(name, table.as, k, slot)),
  );
  const n = params.length;
  const slot = ids === 'slots' ? ` and d.slot = q.${quote(SLOT)}` : '';
  return `${start} join unnest($${n - 2}::text[], $${n - 1}::integer[], $${n}::text[]) as d(k, slot, id)
    on d.k = q.${table.key.name}::text${slot}`;
}

async function slotsOf({ client, tables, identities }: Chunk, { table, select }: Insert) {
  const { rows } = await client.query<{ k: string; slot: number }>(
    `${withOld(tables)} select q.${table.key.name}::text as k, q.${quote(SLOT)}::integer as slot from (${select}\n) q`,
    [identities],
  );
  return rows;
}
