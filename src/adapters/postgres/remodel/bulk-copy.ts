/** The TypeScript lane: old rows through `up`, the new ones by COPY. */
import { finished } from 'node:stream/promises';
import { from as copyFrom } from 'pg-copy-streams';
import type { Identity, Row } from '../../../kernel/remodel/index.ts';
import { type Chunk, forgetDirty, withOld } from './bulk-chunk.ts';
import { nameOf } from './executor.ts';
import { type Fields, rowFrom } from './snapshot-rows.ts';
import type { SqlTable } from './tables.ts';
import { readExpression, toText } from './values.ts';

/**
 * Copies straight into the new tables: under the locks, and of identities that
 * the old model owns, there is nothing in them that a row could meet. Rows that
 * `up` refuses are given back.
 */
export async function adoptChunkByCopy(chunk: Chunk): Promise<{ adopted: number; refused: readonly Identity[] }> {
  const { tables } = chunk;
  const { model, old } = tables;
  const refused: Identity[] = [];
  const texts = tables.all.map(() => '');
  let adopted = 0;
  for (const fields of await oldRows(chunk)) {
    try {
      const state = model.up(rowFrom(old, fields));
      const lines = tables.all.map((table) => linesOf(table, state[table.as] ?? []));
      for (const [i, text] of lines.entries()) texts[i] += text;
      adopted += 1;
    } catch {
      refused.push(fields[0] as string);
    }
  }
  for (const [i, table] of tables.all.entries()) await copyInto(chunk, table, texts[i] as string);
  return { adopted, refused };
}

/** Identity, then columns. */
async function oldRows({ client, tables, list, prepare }: Chunk): Promise<readonly Fields[]> {
  const { old } = tables;
  const values = old.columns.map(({ name, type, sqlType }) => readExpression(`"old".${name}`, type, sqlType));
  const text = `${withOld(tables)}, seen as (${forgetDirty(tables)})
    select ${[`"old".${old.key.name}::text`, ...values].join(', ')} from "old"`;
  const { rows } = await client.query<(string | null)[]>({
    ...(prepare ? { name: nameOf(text) } : {}),
    text,
    values: [list],
    rowMode: 'array',
  });
  return rows;
}

async function copyInto({ client }: Chunk, table: SqlTable, text: string): Promise<void> {
  if (text === '') return;
  const names = table.columns.map(({ name }) => name).join(', ');
  const stream = client.query(copyFrom(`copy ${table.name} (${names}) from stdin`));
  stream.end(text);
  await finished(stream);
}

function linesOf(table: SqlTable, rows: readonly Row[]): string {
  let text = '';
  for (const row of rows) {
    let separator = '';
    for (const { property, type, sqlType } of table.columns) {
      text += separator;
      separator = '\t';
      const value = toText(row[property] ?? null, type, sqlType);
      if (value === null) text += '\\N';
      else if (type === 'bytes') text += `\\\\x${value}`;
      else text += escapeField(value);
    }
    text += '\n';
  }
  return text;
}

const SPECIAL = /[\\\t\n\r]/;
const ESCAPED: Readonly<Record<string, string>> = { '\\': '\\\\', '\t': '\\t', '\n': '\\n', '\r': '\\r' };

function escapeField(text: string): string {
  return SPECIAL.test(text) ? text.replace(/[\\\t\n\r]/g, (character) => ESCAPED[character] as string) : text;
}
