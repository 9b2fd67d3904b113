/**
 * One text for each value of an old column, so that files can be compared byte
 * for byte: numbers without trailing zeros, JSON as `jsonb` writes it, all else
 * as the column's type gives it back. What `down` makes is read by the database
 * as the relay would write it, where its text could come back as another.
 */
import type pg from 'pg';
import type { Row } from '../../../kernel/remodel/index.ts';
import { sqlStateOf, translate } from '../errors.ts';
import type { Executor } from './executor.ts';
import { literal, quote, type SqlColumn, type SqlTable } from './tables.ts';
import { readExpression, toText, writeExpression } from './values.ts';
import { readForm } from './verify-state.ts';

/** Stands in every column of an old row that `down` does not make, or that its table would not take. */
export const UNREADABLE = '\u0001unreadable';

/** SQL of a value's text. A `json` value that `jsonb` cannot hold (\u0000) is an error. */
export function canonicalExpression(value: string, { type, sqlType }: SqlColumn): string {
  if (type === 'numeric') return `trim_scale(${value})::text`;
  if (type === 'json') return `${value}::jsonb::text`;
  return readExpression(value, type, sqlType);
}

/**
 * The table with types as exact as they are declared (`numeric(12,2)`,
 * `timestamp(3) with time zone`), so that a cast makes of a value what storing
 * it would. Only lengths of strings are left out: a cast cuts off silently what
 * an assignment would refuse.
 */
export async function withExactTypes(exec: Executor, table: SqlTable): Promise<SqlTable> {
  const { rows } = await exec.query(
    `select a.attname::text as name,
            case when base.oid in ('varchar'::regtype, 'bpchar'::regtype, 'varbit'::regtype, 'bit'::regtype)
                 then format_type(case base.oid when 'bit'::regtype then 'varbit'::regtype else base.oid end, -1)
                 else format_type(base.oid, case t.typtype when 'd' then t.typtypmod else a.atttypmod end) end as type
       from pg_attribute a join pg_type t on t.oid = a.atttypid
       join pg_type base on base.oid = case t.typtype when 'd' then t.typbasetype else t.oid end
      where a.attrelid = ${literal(table.name)}::regclass and a.attnum > 0 and not a.attisdropped`,
  );
  const types = new Map(rows.map(({ name, type }) => [quote(name as string), type as string]));
  const exact = (column: SqlColumn) => ({ ...column, sqlType: types.get(column.name) ?? column.sqlType });
  return { ...table, columns: table.columns.map(exact), key: exact(table.key) };
}

/** Whether the text that `down` gives comes back from the column as it is. */
function isPlain({ type, sqlType }: SqlColumn): boolean {
  switch (type) {
    case 'numeric':
    case 'json':
      return false;
    case 'text':
      return /^(text|citext|character varying)$/.test(sqlType);
    case 'float':
      return sqlType === 'double precision';
    case 'timestamp':
      return !sqlType.includes('(');
    default:
      return true;
  }
}

/** Texts of made rows, in their order; undefined stands for a row that could not be made. */
export async function canonicalTexts(
  client: pg.ClientBase,
  old: SqlTable,
  rows: readonly (Row | undefined)[],
): Promise<readonly (readonly (string | null)[])[]> {
  const odd = old.columns.filter((column) => !isPlain(column));
  const given = rows.filter((row) => row !== undefined);
  const read = odd.length === 0 ? [] : await readBack(client, odd, given);
  let n = 0;
  return rows.map((row) => {
    const texts = row === undefined ? undefined : odd.length === 0 ? [] : read[n++];
    if (row === undefined || texts === undefined) return old.columns.map(() => UNREADABLE);
    return old.columns.map((column) => {
      const at = odd.indexOf(column);
      return at < 0 ? readForm(row[column.property], column.type) : (texts[at] as string | null);
    });
  });
}

/** Undefined for a row with a value that the type of its column does not take. */
async function readBack(
  client: pg.ClientBase,
  columns: readonly SqlColumn[],
  rows: readonly Row[],
): Promise<(readonly (string | null)[] | undefined)[]> {
  if (rows.length === 0) return [];
  const texts = columns.map((column, i) =>
    canonicalExpression(`(${writeExpression(`u.c${i}`, column.type, column.sqlType)})`, column),
  );
  const names = columns.map((_, i) => `c${i}`).join(', ');
  const arrays = columns.map((_, i) => `$${i + 1}::text[]`).join(', ');
  try {
    const { rows: read } = await client.query<(string | null)[]>({
      text: `select ${texts.join(', ')} from unnest(${arrays}) with ordinality as u(${names}, n) order by n`,
      values: columns.map(({ property, type, sqlType }) =>
        rows.map((row) => toText(row[property] ?? null, type, sqlType)),
      ),
      rowMode: 'array',
    });
    return read;
  } catch (error) {
    if (!/^2[23]/.test(sqlStateOf(error) ?? '')) throw translate(error, 'Reading made values');
    if (rows.length === 1) return [undefined];
    const half = rows.length >> 1;
    return [
      ...(await readBack(client, columns, rows.slice(0, half))),
      ...(await readBack(client, columns, rows.slice(half))),
    ];
  }
}
