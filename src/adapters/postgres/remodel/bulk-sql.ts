/** The SQL lane: the definition's SELECTs over a chunk of old rows, inserted without leaving the database. */
import type pg from 'pg';
import { GodwitError } from '../../../kernel/errors.ts';
import { childIdPrefix, type Identity } from '../../../kernel/remodel/index.ts';
import { arrayText, type Chunk, forgetDirty, withOld } from './bulk-chunk.ts';
import type { TextRow } from './executor.ts';
import { literal, quote, type SqlColumn, type SqlModel, type SqlTable } from './tables.ts';

/** One new table's INSERT. */
interface Insert {
  readonly table: SqlTable;
  readonly select: string;
  /** SQL of each column, over `q`, the user's SELECT. `DERIVED` stands for a derived id. */
  readonly values: readonly string[];
  /** Where ids come from: the SELECT, or derived for one row an identity, or by the SELECT's `slot`. */
  readonly ids: 'given' | 'first' | 'slots';
}

/** Column that says which of an identity's rows it is, from 0, where their ids are derived. */
const SLOT = 'slot';

const DERIVED = '<id>';

const PLANS = new WeakMap<SqlModel, Promise<readonly Insert[]>>();

/** @throws GodwitError GW5006 when a SELECT does not give what its table needs. */
export async function adoptChunkBySql(whole: Chunk): Promise<{ adopted: number; refused: readonly Identity[] }> {
  const { client, exec, tables } = whole;
  const refused = await withOverflow(whole);
  const list = refused.size === 0 ? whole.list : arrayText(whole.identities.filter((k) => !refused.has(k)));
  let plan = PLANS.get(tables);
  if (plan === undefined) {
    plan = Promise.all(tables.all.map((table) => planInsert(client, tables, table)));
    PLANS.set(tables, plan);
    plan.catch(() => PLANS.delete(tables));
  }
  const inserts = await plan;
  const ctes = inserts.map(
    (insert, i) => `t${i} as (${insertSql(tables, insert)} returning ${insert.table.key.name} as k)`,
  );
  const { rows } = await exec.query(
    `${withOld(tables)}, seen as (${forgetDirty(tables)}), ${ctes.join(', ')}
     select (select count(*) from "old")::text as olds,
            ((select ${keySum(tables.old.key.name)} from "old") = (select ${keySum('k')} from t0))::text as same`,
    [list],
    'prepared',
  );
  const { olds, same } = rows[0] as TextRow;
  if (same !== 'true')
    throw new GodwitError(
      'GW5006',
      `Remodel ${tables.model.name}: sql.up of ${tables.root.as} does not give one row for each old row, with its key`,
    );
  return { adopted: Number(olds), refused: [...refused] };
}

/**
 * Number and sum of hashes: the same for the same set of keys. A join would
 * have to be planned without knowing how many rows a chunk has.
 */
function keySum(key: string): string {
  return `row(count(*), coalesce(sum(hashtextextended(${key}::text, 0)), 0))`;
}

/** Old rows that keep further rows of the list as JSON: that form is the kernel's, and no SQL of the definition knows it. */
async function withOverflow({ client, tables, list }: Chunk): Promise<ReadonlySet<Identity>> {
  const { model, old } = tables;
  const { inverse } = model;
  if (inverse.policy !== 'overflow') return new Set();
  const column = old.columns.find(({ property }) => property === inverse.column) as SqlColumn;
  const { rows } = await client.query<{ k: string }>(
    `${withOld(tables)} select ${old.key.name}::text as k from "old" where ${column.name} is not null`,
    [list],
  );
  return new Set(rows.map(({ k }) => k));
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
    if (isDerivable(table, column)) return `${DERIVED}::${column.sqlType}`;
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

function insertSql({ model }: SqlModel, { table, select, values, ids }: Insert): string {
  const slot = ids === 'slots' ? `q.${quote(SLOT)}::integer` : "'0'";
  const id = derivedId(
    `${literal(childIdPrefix(model.name, table.as))} || ${slot} || ']' || q.${table.key.name}::text`,
  );
  const names = table.columns.map(({ name }) => name).join(', ');
  const exact = values.map((value) => value.replace(DERIVED, () => id));
  return `insert into ${table.name} (${names}) select ${exact.join(', ')} from (${select}\n) q`;
}

/** `childId` in SQL, from the text that it hashes. */
function derivedId(name: string): string {
  const bytes = `substr(sha256(convert_to(${name}, 'UTF8')), 1, 16)`;
  return `encode(set_byte(set_byte(${bytes}, 6, 128), 8, 128), 'hex')::uuid`;
}
