import type { Columns, Row, Value } from './column.ts';

/** A row as text that differs wherever a value or its type does, in the order of the columns. */
export function rowText(columns: Columns, row: Row): string {
  return JSON.stringify(Object.keys(columns).map((property) => valueText(row[property])));
}

/** A value as text, with its type, so that `null`, `'null'`, 0, -0 and 0n differ. */
export function valueText(value: Value | undefined): string {
  if (value instanceof Uint8Array) return `bytes ${Buffer.from(value).toString('hex')}`;
  return `${value === null ? 'null' : typeof value} ${Object.is(value, -0) ? '-0' : String(value)}`;
}
