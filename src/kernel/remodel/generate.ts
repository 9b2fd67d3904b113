/**
 * Rows made up of a table's columns, for trying transforms: the same seed gives
 * the same rows, and values that break naive code come often.
 */
import type { Column, Columns, ColumnType, Row, Value } from './column.ts';

/** Numbers from 0 to 1 that depend on nothing but the seed (mulberry32). */
export function seededRandom(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let mixed = Math.imul(state ^ (state >>> 15), state | 1);
    mixed ^= mixed + Math.imul(mixed ^ (mixed >>> 7), mixed | 61);
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 4_294_967_296;
  };
}

/** Values that have broken somebody's code, the simplest first: what a counterexample is shrunk towards. */
const NOTABLE: Readonly<Record<ColumnType, readonly Exclude<Value, null>[]>> = {
  text: ['', 'a', ' ', 'NULL', "it's", 'a,b;c|d\t"e"', 'line\nline', '\\N', 'é', 'ß', 'Ā\u0301', '日本', '💶', 'İi'],
  integer: [0, 1, -1, 2_147_483_647, -2_147_483_648],
  bigint: [0n, 1n, -1n, 9_007_199_254_740_993n, 9_223_372_036_854_775_807n, -9_223_372_036_854_775_808n],
  numeric: ['0', '1', '-1', '0.00', '1.10', '-0.05', '12345678901234567890.123456789', 'NaN'],
  float: [0, 1, -1, 0.1, -0, 1e-300, 1.7976931348623157e308, Number.NaN, Infinity, -Infinity],
  boolean: [false, true],
  timestamp: [
    '1970-01-01T00:00:00Z',
    '2026-01-02T03:04:05.000006Z',
    '1969-12-31T23:59:59.999999Z',
    '2024-02-29T12:00:00.5Z',
    '0001-01-01T00:00:00Z',
    'infinity',
    '-infinity',
  ],
  date: ['1970-01-01', '2024-02-29', '1969-12-31', '0001-01-01', '9999-12-31', 'infinity', '-infinity'],
  uuid: ['00000000-0000-0000-0000-000000000000', 'ffffffff-ffff-ffff-ffff-ffffffffffff'],
  json: ['{}', '[]', 'null', '0', '""', '{"a": 1, "b": [true, null, "x"]}', '12345678901234567890'],
  bytes: [new Uint8Array(), new Uint8Array([0]), new Uint8Array([255, 0, 10, 92])],
};

/** The simplest value of a type. */
export function simplestOf(type: ColumnType): Exclude<Value, null> {
  return NOTABLE[type][0] as Exclude<Value, null>;
}

/** A row of these columns. */
export function generateRow(columns: Columns, random: () => number): Row {
  return Object.fromEntries(
    Object.entries(columns).map(([property, column]) => [property, generateValue(column, random)]),
  );
}

function generateValue(column: Column<Value, boolean>, random: () => number): Value {
  if (column.isNullable && random() < 0.3) return null;
  const notable = NOTABLE[column.type];
  if (random() < 0.4) return notable[Math.floor(random() * notable.length)] as Value;
  return ordinary(column.type, random);
}

function ordinary(type: ColumnType, random: () => number): Value {
  const below = (most: number): number => Math.floor(random() * most);
  switch (type) {
    case 'text':
      return Array.from({ length: below(12) }, () => String.fromCodePoint(32 + below(95))).join('');
    case 'integer':
      return below(2_000_001) - 1_000_000;
    case 'bigint':
      return BigInt(below(2 ** 32)) * BigInt(below(2 ** 20)) - 1_000_000n;
    case 'numeric': {
      const [whole, cents] = [below(2_000_000) - 1_000_000, below(100)];
      return `${whole}.${String(cents).padStart(2, '0')}`;
    }
    case 'float':
      return (random() - 0.5) * 10 ** below(12);
    case 'boolean':
      return random() < 0.5;
    case 'timestamp':
      return `${new Date(below(2 ** 31) * 1000).toISOString().slice(0, 19)}${below(2) === 0 ? '' : `.${1 + below(9)}`}Z`;
    case 'date':
      return new Date(below(2 ** 31) * 1000).toISOString().slice(0, 10);
    case 'uuid': {
      const hex = Array.from({ length: 32 }, () => below(16).toString(16)).join('');
      return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
    }
    case 'json':
      return JSON.stringify({ n: below(1000), text: String(below(1000)) });
    case 'bytes':
      return new Uint8Array(Array.from({ length: below(9) }, () => below(256)));
  }
}
