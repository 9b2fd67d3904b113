/** Reading and writing the rows of identities. */
import type { Identity, Model, Row, State } from '../../../kernel/remodel/index.ts';
import type { Executor, TextRow } from './executor.ts';
import { columnOf, emptyState, rowExpression, rowOf, rowsAsSelect, type SqlModel, type SqlTable } from './tables.ts';
import { distinctExpression, writeExpression } from './values.ts';

/** A list of keys as an SQL array of the key's own type, from parameter `$n` of text. */
function keys(table: SqlTable, param: string): string {
  return `array(select i::${table.key.sqlType} from unnest(${param}::text[]) i)`;
}

/**
 * The new rows of identities, all tables in one statement and so in one
 * snapshot. An identity without a root row is not among them.
 */
export async function readStates(
  exec: Executor,
  sql: SqlModel,
  identities: readonly Identity[],
): Promise<ReadonlyMap<Identity, State>> {
  return statesOf(sql, (await exec.query(selectStates(sql), [identities])).rows);
}

/** Statement for the new rows of the identities in `$1`: columns `t` (for {@link statesOf}), `identity`, `v`. */
export function selectStates(sql: SqlModel): string {
  const parts = sql.all.map(
    (table, i) =>
      `select '${i}' as t, x.${table.key.name}::text as identity, ${rowExpression(table, 'x')} as v
         from ${table.name} x where x.${table.key.name} = any(${keys(table, '$1')})`,
  );
  return parts.join(' union all ');
}

/** States by identity, of what {@link selectStates} found. */
export function statesOf(sql: SqlModel, rows: readonly TextRow[]): ReadonlyMap<Identity, State> {
  const found = new Map<Identity, Record<string, Row[]>>();
  for (const { t, identity, v } of rows) {
    const table = sql.all[Number(t)] as SqlTable;
    let state = found.get(identity as string);
    if (!state) {
      state = emptyState(sql.model) as Record<string, Row[]>;
      found.set(identity as string, state);
    }
    (state[table.as] as Row[]).push(rowOf(table, v as string));
  }
  for (const [identity, state] of found) if (state[sql.root.as]?.length === 0) found.delete(identity);
  return found;
}

/**
 * The old row, and in the same snapshot the numbers (an SQL array as text) of
 * writes past the library that are in it.
 */
export async function readOldRow(
  exec: Executor,
  { model, old }: SqlModel,
  identity: Identity,
): Promise<{ readonly row: Row | undefined; readonly dirty: string }> {
  const { rows } = await exec.query(
    `select (select ${rowExpression(old, 'x')} from ${old.name} x where x.${old.key.name} = $2::text::${old.key.sqlType}) as v,
            array(select d.id from godwit.dirty d where d.remodel = $1 and d.identity = $2)::text as dirty`,
    [model.name, identity],
  );
  const { v, dirty } = rows[0] as { v: string | null; dirty: string };
  return { row: v === null ? undefined : rowOf(old, v), dirty };
}

/** Inserts rows that must not be there yet. */
export async function insertRows(exec: Executor, table: SqlTable, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return;
  const { sql, params } = rowsAsSelect(table, rows);
  await exec.query(`insert into ${table.name} (${names(table)}) ${sql}`, params);
}

/**
 * Inserts rows, or replaces the ones with the same unique key. Gives how many
 * were written: fewer than asked when a row of another identity has the key.
 */
export async function upsertRows(exec: Executor, table: SqlTable, rows: readonly Row[]): Promise<number> {
  if (rows.length === 0) return 0;
  const { sql, params } = rowsAsSelect(table, rows);
  const sets = table.columns
    .filter((column) => !table.conflict.includes(column.name))
    .map((column) => `${column.name} = excluded.${column.name}`);
  const action = sets.length > 0 ? `do update set ${sets.join(', ')}` : 'do nothing';
  const guard = table.id ? ` where x.${table.key.name} = excluded.${table.key.name}` : '';
  const { rows: written } = await exec.query(
    `insert into ${table.name} as x (${names(table)}) ${sql}
       on conflict (${table.conflict.join(', ')}) ${action}${sets.length > 0 ? guard : ''} returning '1' as one`,
    params,
  );
  return written.length;
}

/**
 * Writes an old row, or several, where they differ. Other columns keep their values, and need
 * none: an INSERT with ON CONFLICT would be refused for a column that may not
 * be null even where the row is there.
 */
export async function putOldRows(exec: Executor, { old }: SqlModel, rows: readonly Row[]): Promise<void> {
  if (rows.length === 0) return;
  const key = old.key.name;
  const { sql: select, params } = rowsAsSelect(old, rows);
  const update = updateFrom(old);
  await exec.query(
    `with v (${names(old)}) as materialized (${select})${update === undefined ? '' : `, u as (${update})`}
     insert into ${old.name} (${names(old)}) overriding system value
     select * from v where not exists (select 1 from ${old.name} x where x.${key} = v.${key})`,
    params,
  );
}

/** Writes old rows that are there, where they differ. */
export async function updateOldRows(exec: Executor, { old }: SqlModel, rows: readonly Row[]): Promise<void> {
  const update = updateFrom(old);
  if (rows.length === 0 || update === undefined) return;
  const { sql: select, params } = rowsAsSelect(old, rows);
  await exec.query(`with v (${names(old)}) as materialized (${select}) ${update}`, params, 'prepared');
}

/**
 * UPDATE of old rows from `v`; undefined when there is nothing but a key. The
 * keys stand there twice, so that the rows are looked up by them: how many there
 * are the planner cannot know, and it would rather read a whole small table.
 */
function updateFrom(old: SqlTable): string | undefined {
  const others = old.columns.filter((column) => column !== old.key);
  if (others.length === 0) return undefined;
  const key = old.key.name;
  const sets = others.map(({ name }) => `${name} = v.${name}`).join(', ');
  const values = (alias: string) =>
    others.map((column) => distinctExpression(`${alias}.${column.name}`, column.type, column.sqlType)).join(', ');
  return `update ${old.name} x set ${sets} from v
    where x.${key} = any(array(select ${key} from v)) and x.${key} = v.${key}
      and (${values('x')}) is distinct from (${values('v')})`;
}

/** Locks the old rows in `$1`: columns `t` and `k`, a key. `present`: locked by this transaction now. `busy`: by somebody else's. */
export function lockOldRows(old: SqlTable): string {
  const select = `select x.${old.key.name} as k from ${old.name} x where x.${old.key.name} = any(${keys(old, '$1')})`;
  return `with there as materialized (${select}), free as materialized (${select} for no key update skip locked)
    select 'present' as t, k from free
    union all (select 'busy', k from there except select 'busy', k from free)`;
}

export async function deleteRows(exec: Executor, table: SqlTable, identities: readonly Identity[]): Promise<void> {
  if (identities.length === 0) return;
  await exec.query(`delete from ${table.name} where ${table.key.name} = any(${keys(table, '$1')})`, [identities]);
}

/** Columns of one row, by key and, in a list, id. Gives whether it was there. */
export async function patchRow(
  exec: Executor,
  table: SqlTable,
  identity: Identity,
  id: string | null | undefined,
  patch: Row,
): Promise<boolean> {
  const changed = table.columns.filter((column) => column.property in patch);
  const params: (string | null)[] = [identity];
  const sets = changed.map((column) => {
    params.push(columnOf(column, [patch])[0] as string | null);
    return `${column.name} = ${writeExpressionOf(column, params.length)}`;
  });
  const where = [`${table.key.name} = $1::text::${table.key.sqlType}`];
  if (table.id) {
    params.push(id ?? null);
    where.push(`${table.id.name} = $${params.length}::text::${table.id.sqlType}`);
  }
  const statement =
    sets.length === 0
      ? `select '1' as one from ${table.name} where ${where.join(' and ')}`
      : `update ${table.name} set ${sets.join(', ')} where ${where.join(' and ')} returning '1' as one`;
  return (await exec.query(statement, params)).rows.length > 0;
}

function writeExpressionOf(column: SqlTable['columns'][number], n: number): string {
  return writeExpression(`$${n}`, column.type, column.sqlType);
}

function names(table: SqlTable): string {
  return table.columns.map((column) => column.name).join(', ');
}

/** Identities of the model's tombstones among some. */
export async function tombstonesAmong(
  exec: Executor,
  model: Model,
  identities: readonly Identity[],
): Promise<ReadonlySet<Identity>> {
  const { rows } = await exec.query(
    'select identity from godwit.tombstone where remodel = $1 and identity = any($2::text[])',
    [model.name, identities],
  );
  return new Set(rows.map((row) => row['identity'] as string));
}
