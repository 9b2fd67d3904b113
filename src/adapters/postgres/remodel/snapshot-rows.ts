/** Rows as `COPY … TO STDOUT` sends them, a batch at a time. */
import type { Readable } from 'node:stream';
import type pg from 'pg';
import { to as copyTo } from 'pg-copy-streams';
import { throwIfAborted } from '../../../kernel/errors.ts';
import type { Row } from '../../../kernel/remodel/index.ts';
import { translate } from '../errors.ts';
import type { SqlColumn, SqlTable } from './tables.ts';
import { fromText } from './values.ts';

/** A row of a COPY: the text of each column, or null. */
export type Fields = readonly (string | null)[];

/**
 * Reads what a SELECT gives, in its order. The server sends no faster than is
 * read here: a batch is what one look at the socket brought, some dozen to
 * some thousand rows.
 * @throws GodwitError GW8001 when the signal is set, and the server's errors translated.
 */
export async function* copyRows(client: pg.Client, select: string, signal: AbortSignal): AsyncGenerator<Fields[]> {
  let rest: Buffer | undefined;
  try {
    const stream: Readable = client.query(copyTo(`copy (${select}) to stdout`));
    for await (const chunk of stream as AsyncIterable<Buffer>) {
      throwIfAborted(signal);
      const bytes: Buffer = rest === undefined ? chunk : Buffer.concat([rest, chunk]);
      // A line feed in a value is written as \n: a real one always ends a row.
      const end = bytes.lastIndexOf(10);
      rest = end + 1 === bytes.length ? undefined : bytes.subarray(end + 1);
      if (end >= 0) yield parseRows(bytes.toString('utf8', 0, end));
    }
  } catch (error) {
    throwIfAborted(signal);
    throw translate(error, 'Reading rows in a snapshot');
  }
}

/** Rows of the text format of COPY, without the last line feed. */
export function parseRows(text: string): Fields[] {
  const rows: Fields[] = [];
  const isPlain = !text.includes('\\');
  for (const line of text.split('\n')) {
    const fields: (string | null)[] = line.split('\t');
    if (!isPlain && line.includes('\\'))
      for (let i = 0; i < fields.length; i += 1) fields[i] = unescapeField(fields[i] as string);
    rows.push(fields);
  }
  return rows;
}

const ESCAPES: Readonly<Record<string, string>> = { b: '\b', f: '\f', n: '\n', r: '\r', t: '\t', v: '\v' };

function unescapeField(field: string): string | null {
  if (field === '\\N') return null;
  if (!field.includes('\\')) return field;
  return field.replace(/\\([\s\S])/g, (_, character: string) => ESCAPES[character] ?? character);
}

/** A row whose first field is the identity. */
export function rowFrom(table: SqlTable, fields: Fields): Row {
  const row: Row = {};
  for (let i = 0; i < table.columns.length; i += 1) {
    const { property, type } = table.columns[i] as SqlColumn;
    row[property] = fromText(fields[i + 1] as string | null, type);
  }
  return row;
}

/** Steps through batches of rows without a promise for each. */
export class RowCursor {
  readonly #batches: AsyncIterator<Fields[]>;
  #rows: readonly Fields[] = [];
  #at = 0;
  #isDone = false;

  constructor(batches: AsyncIterable<Fields[]>) {
    this.#batches = batches[Symbol.asyncIterator]();
  }

  /** The present row; undefined when `needsMore`, or after the last. */
  get row(): Fields | undefined {
    return this.#rows[this.#at];
  }

  /** Whether `fill` must be awaited before `row` says anything. */
  get needsMore(): boolean {
    return this.#at >= this.#rows.length && !this.#isDone;
  }

  step(): void {
    this.#at += 1;
  }

  async fill(): Promise<void> {
    while (this.needsMore) {
      const { value, done } = await this.#batches.next();
      this.#isDone = done === true;
      this.#rows = done ? [] : value;
      this.#at = 0;
    }
  }
}
