import type { Column, Columns, Row, Value } from './column.ts';
import type { Table } from './model.ts';

/** What the overflow column of an old row holds, as JSON text. */
interface Stored {
  /** Id of the row that the old table shows, where it is not the derived one. */
  readonly shown?: string;
  /** The rows it has no room for. */
  readonly others: readonly Record<string, unknown>[];
}

/** The rows that an old row has no room for, as JSON text; null when there are none and nothing must be remembered. */
export function writeOverflow(
  rows: readonly Row[],
  shown: Row | undefined,
  table: Table,
  derivedId: (slot: number) => string,
): string | null {
  if (shown === undefined) return null;
  const id = table.id as string;
  const others = rows.filter((row) => row !== shown);
  const own = shown[id] === derivedId(0) ? {} : { shown: encode(shown[id] as Value) as string };
  if (others.length === 0 && !('shown' in own)) return null;
  const stored: Stored = { ...own, others: others.map(encodeRow) };
  return JSON.stringify(stored);
}

/** The way back. */
export function readOverflow(stored: string, columns: Columns): { shown: Value; others: Row[] } {
  const { shown, others } = JSON.parse(stored) as Stored;
  return { shown: shown ?? null, others: others.map((row) => decodeRow(row, columns)) };
}

function encodeRow(row: Row): Record<string, unknown> {
  return Object.fromEntries(Object.entries(row).map(([property, value]) => [property, encode(value)]));
}

/** JSON has no 64-bit integers, no NaN, no -0 and no bytes: they go as text. */
function encode(value: Value): unknown {
  if (typeof value === 'bigint') return value.toString();
  if (typeof value === 'number') return Object.is(value, -0) ? '-0' : Number.isFinite(value) ? value : String(value);
  if (value instanceof Uint8Array) return Buffer.from(value).toString('base64');
  return value;
}

function decodeRow(row: Record<string, unknown>, columns: Columns): Row {
  return Object.fromEntries(
    Object.entries(columns).map(([property, column]) => [property, decode(row[property], column)]),
  );
}

function decode(value: unknown, column: Column<Value, boolean>): Value {
  if (value === null || value === undefined) return null;
  if (column.type === 'bigint') return BigInt(value as string);
  if (column.type === 'bytes') return new Uint8Array(Buffer.from(value as string, 'base64'));
  if ((column.type === 'float' || column.type === 'integer') && typeof value === 'string') return Number(value);
  return value as Value;
}
