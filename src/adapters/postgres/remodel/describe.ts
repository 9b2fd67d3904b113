import type { ColumnType, DescribedColumn } from '../../../kernel/remodel/index.ts';
import { makePool, onConnection } from './session.ts';
import { quoteTable } from './tables.ts';

const TYPES: readonly (readonly [RegExp, ColumnType])[] = [
  [/^(text|character|character varying|citext|name)\b/, 'text'],
  [/^(integer|smallint)$/, 'integer'],
  [/^bigint$/, 'bigint'],
  [/^numeric/, 'numeric'],
  [/^(double precision|real)$/, 'float'],
  [/^boolean$/, 'boolean'],
  [/^timestamp/, 'timestamp'],
  [/^date$/, 'date'],
  [/^uuid$/, 'uuid'],
  [/^jsonb?$/, 'json'],
  [/^bytea$/, 'bytes'],
];

/** The columns of a table, in their order; empty when there is no such table. */
export async function describePostgresTable(db: string, table: string): Promise<readonly DescribedColumn[]> {
  const pool = makePool(db, 1);
  try {
    return await onConnection(pool, `Reading the columns of ${table}`, async (exec) => {
      const { rows } = await exec.query(
        `select a.attname::text as name, format_type(a.atttypid, a.atttypmod)::text as type,
                a.attnotnull::text as required,
                exists (select from pg_index i where i.indrelid = a.attrelid and i.indisprimary
                           and a.attnum = any(i.indkey))::text as key
           from pg_attribute a where a.attrelid = to_regclass($1) and a.attnum > 0 and not a.attisdropped
          order by a.attnum`,
        [quoteTable(table)],
      );
      return rows.map((row) => {
        const storedType = String(row['type']);
        return {
          storedAs: String(row['name']),
          // Everything else has a text form too, but whether it comes back the same only its owner can say.
          type: TYPES.find(([pattern]) => pattern.test(storedType))?.[1],
          storedType,
          isNullable: row['required'] !== 'true',
          isKey: row['key'] === 'true',
        };
      });
    });
  } finally {
    await pool.end();
  }
}
