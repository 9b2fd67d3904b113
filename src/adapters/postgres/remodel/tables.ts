/** The tables of a model as SQL sees them: stored names and real types, read once from the catalogue. */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Columns, ColumnType, Model, Row, State, Table } from '../../../kernel/remodel/index.ts';
import type { Executor } from './executor.ts';
import { fromText, readExpression, toText, writeExpression } from './values.ts';

export interface SqlColumn {
  readonly property: string;
  readonly type: ColumnType;
  /** Quoted. */
  readonly name: string;
  /** As `format_type` writes it, without a length: a cast to `varchar(5)` would cut off what an assignment refuses. */
  readonly sqlType: string;
}

export interface SqlTable {
  /** Name in the model: `from`, or the key in `to`. */
  readonly as: string;
  /** Quoted, with its schema where the model gives one. */
  readonly name: string;
  readonly columns: readonly SqlColumn[];
  readonly key: SqlColumn;
  readonly id: SqlColumn | undefined;
  /** Quoted columns of the unique index that tells rows apart. */
  readonly conflict: readonly string[];
}

export interface SqlModel {
  readonly model: Model;
  readonly old: SqlTable;
  readonly root: SqlTable;
  readonly lists: readonly SqlTable[];
  /** Root first. */
  readonly all: readonly SqlTable[];
  byName(as: string): SqlTable;
}

/** Quotes an identifier. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** Quotes a text constant. */
export function literal(text: string): string {
  return `'${text.replaceAll("'", "''")}'`;
}

/** `schema.name` or `name`, quoted part by part. */
export function quoteTable(name: string): string {
  return name.split('.').map(quote).join('.');
}

/** The stored name of a property: as given, or in snake case. */
export function storedName(property: string, columns: Columns): string {
  const given = columns[property]?.storedAs;
  return given ?? property.replace(/[A-Z]/g, (letter) => `_${letter.toLowerCase()}`);
}

/**
 * Reads the real types of all columns and the unique keys.
 * @throws GodwitError GW2006 that lists every table, column or key that lacks.
 */
export async function loadTables(exec: Executor, model: Model): Promise<SqlModel> {
  const lacks: string[] = [];
  const load = (as: string, table: Table) => loadTable(exec, model, as, table, lacks);
  const old = await load('from', model.from);
  const all: SqlTable[] = [];
  for (const as of [model.root, ...model.lists]) all.push(await load(as, model.to[as] as Table));
  if (lacks.length > 0) throw new GodwitError('GW2006', `Remodel ${model.name}: ${lacks.join('; ')}`);
  return {
    model,
    old,
    root: all[0] as SqlTable,
    lists: all.slice(1),
    all,
    byName: (as) => {
      const found = all.find((table) => table.as === as);
      if (!found) throw new GodwitError('GW9001', `No new table ${as}`);
      return found;
    },
  };
}

async function loadTable(exec: Executor, model: Model, as: string, table: Table, lacks: string[]): Promise<SqlTable> {
  const types = await castTypes(exec, table.name);
  const columns: SqlColumn[] = [];
  for (const [property, { type }] of Object.entries(table.columns)) {
    const stored = storedName(property, table.columns);
    const sqlType = types.get(stored);
    if (sqlType === undefined) lacks.push(`${table.name} has no column ${stored}`);
    else if (!fits(type, sqlType)) lacks.push(`${table.name}.${stored} is ${sqlType}, not ${type}`);
    else if (property === model.key && type === 'text' && !/^(text|character varying)$/.test(sqlType))
      lacks.push(`${table.name}.${stored} is ${sqlType}: keys that differ as text may be equal to the database`);
    columns.push({ property, type, name: quote(stored), sqlType: sqlType ?? 'text' });
  }
  const of = (property: string) => columns.find((column) => column.property === property) as SqlColumn;
  const wanted = table.isMany ? [[table.id as string], [model.key, table.id as string]] : [[model.key]];
  const unique = await uniqueKeys(exec, table.name);
  const key = wanted
    .map((properties) => properties.map((property) => storedName(property, table.columns)))
    .find((names) => unique.some((index) => index.length === names.length && names.every((n) => index.includes(n))));
  if (!key && types.size > 0)
    lacks.push(`${table.name} has no unique index on ${wanted.map((each) => each.join(', ')).join(' or ')}`);
  return {
    as,
    name: await qualified(exec, table.name),
    columns,
    key: of(model.key),
    id: table.id === undefined ? undefined : of(table.id),
    conflict: (key ?? []).map(quote),
  };
}

/** The name with the schema it was found in, so that it means the same in functions with another search path. */
async function qualified(exec: Executor, table: string): Promise<string> {
  const { rows } = await exec.query(
    `select format('%I.%I', n.nspname, c.relname)::text as name
       from pg_class c join pg_namespace n on n.oid = c.relnamespace where c.oid = to_regclass($1)`,
    [quoteTable(table)],
  );
  return rows[0]?.['name'] ?? quoteTable(table);
}

/** Real types by column name; empty when there is no such table. */
export async function columnTypes(exec: Executor, table: string): Promise<ReadonlyMap<string, string>> {
  const { rows } = await exec.query(
    `select a.attname::text as name, format_type(a.atttypid, a.atttypmod)::text as type
       from pg_attribute a where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
      order by a.attnum`,
    [quoteTable(table)],
  );
  return new Map(rows.map((row) => [row['name'] as string, row['type'] as string]));
}

/** Types that a value may be cast to: without length or domain, so that what does not fit is refused by the column. */
async function castTypes(exec: Executor, table: string): Promise<ReadonlyMap<string, string>> {
  const { rows } = await exec.query(
    `select a.attname::text as name,
            format_type(case t.typtype when 'd' then t.typbasetype else t.oid end, -1)::text as type
       from pg_attribute a join pg_type t on t.oid = a.atttypid
      where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped`,
    [quoteTable(table)],
  );
  return new Map(rows.map((row) => [row['name'] as string, row['type'] as string]));
}

/** Only what may stand behind ON CONFLICT: all rows, plain columns, checked at once. */
async function uniqueKeys(exec: Executor, table: string): Promise<string[][]> {
  const { rows } = await exec.query(
    `select json_agg(a.attname order by k.place)::text as names
       from pg_index i
       cross join lateral unnest(i.indkey) with ordinality as k(attnum, place)
       join pg_attribute a on a.attrelid = i.indrelid and a.attnum = k.attnum
      where i.indrelid = to_regclass($1) and i.indisunique and i.indisvalid and i.indpred is null
        and i.indexprs is null and i.indimmediate and k.place <= i.indnkeyatts
      group by i.indexrelid`,
    [quoteTable(table)],
  );
  return rows.map((row) => JSON.parse(row['names'] as string) as string[]);
}

const FITS: Readonly<Record<ColumnType, RegExp>> = {
  text: /./,
  integer: /^(integer|smallint)$/,
  bigint: /^(bigint|integer|smallint)$/,
  numeric: /^numeric/,
  float: /^(double precision|real)$/,
  boolean: /^boolean$/,
  timestamp: /^timestamp/,
  date: /^date$/,
  uuid: /^uuid$/,
  json: /^jsonb?$/,
  bytes: /^bytea$/,
};

function fits(type: ColumnType, sqlType: string): boolean {
  return FITS[type].test(sqlType);
}

/** A JSON array of all columns of a table, as text: one value a row, read by `rowOf`. */
export function rowExpression(table: SqlTable, alias: string): string {
  const values = table.columns.map((c) => readExpression(`${alias}.${c.name}`, c.type, c.sqlType));
  if (values.length <= 100) return `json_build_array(${values.join(', ')})::text`;
  // A function takes at most 100 arguments, and only jsonb arrays can be joined.
  const parts: string[] = [];
  for (let i = 0; i < values.length; i += 100) parts.push(`jsonb_build_array(${values.slice(i, i + 100).join(', ')})`);
  return `(${parts.join(' || ')})::text`;
}

/** The row that `rowExpression` gave. */
export function rowOf(table: SqlTable, json: string): Row {
  const values = JSON.parse(json) as (string | null)[];
  const row: Row = {};
  for (const [i, column] of table.columns.entries()) row[column.property] = fromText(values[i] ?? null, column.type);
  return row;
}

/** A column's values of rows, as text. */
export function columnOf(column: SqlColumn, rows: readonly Row[]): (string | null)[] {
  return rows.map((row) => toText(row[column.property] ?? null, column.type, column.sqlType));
}

/** `select … from unnest(…)` that gives `rows` typed, with its parameters; the first has number `first`. */
export function rowsAsSelect(table: SqlTable, rows: readonly Row[], first = 1): { sql: string; params: string[][] } {
  const arrays = table.columns.map((_, i) => `$${first + i}::text[]`).join(', ');
  const names = table.columns.map((_, i) => `c${i}`);
  const values = table.columns.map((column, i) => writeExpression(`u.c${i}`, column.type, column.sqlType));
  return {
    sql: `select ${values.join(', ')} from unnest(${arrays}) as u(${names.join(', ')})`,
    params: table.columns.map((column) => columnOf(column, rows) as string[]),
  };
}

/** An empty state. */
export function emptyState(model: Model): State {
  return Object.fromEntries([model.root, ...model.lists].map((as) => [as, []]));
}
