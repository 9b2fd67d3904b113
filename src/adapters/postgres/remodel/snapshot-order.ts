/** The order in which both sides are read, so that they can be merged: the same in SQL and here. */
import type { ColumnType } from '../../../kernel/remodel/index.ts';
import { literal } from './tables.ts';

/** An order of identities. */
export interface KeyOrder {
  /** SQL to order by, of a key column. Numbers and UUIDs have an order of their own, which an index serves. */
  readonly ofColumn: (column: string) => string;
  /** SQL to order by, of an identity as control tables have it. */
  readonly ofIdentity: (identity: string) => string;
  /** A constant to compare either with. */
  readonly constant: (identity: string) => string;
  /** Less than 0 when `a` comes first. */
  readonly compare: (a: string, b: string) => number;
}

/**
 * Text is ordered by its bytes (collation "C"): the collation of a column may
 * be another on either side, and may hold different texts for equal.
 */
export function keyOrder(type: ColumnType): KeyOrder {
  if (type === 'integer' || type === 'bigint')
    return {
      ofColumn: (column) => column,
      ofIdentity: (identity) => `${identity}::bigint`,
      constant: (identity) => `${literal(identity)}::bigint`,
      compare: compareIntegers,
    };
  if (type === 'uuid')
    return {
      ofColumn: (column) => column,
      ofIdentity: (identity) => `${identity}::uuid`,
      constant: (identity) => `${literal(identity)}::uuid`,
      compare: compareText,
    };
  return {
    ofColumn: (column) => `${column}::text collate "C"`,
    ofIdentity: (identity) => `${identity} collate "C"`,
    constant: (identity) => `${literal(identity)}::text`,
    compare: compareText,
  };
}

/** Decimal integers without leading zeros. */
export function compareIntegers(a: string, b: string): number {
  if (a === b) return 0;
  const [isANegative, isBNegative] = [a.startsWith('-'), b.startsWith('-')];
  if (isANegative !== isBNegative) return isANegative ? -1 : 1;
  const order = a.length === b.length ? (a < b ? -1 : 1) : a.length - b.length;
  return isANegative ? -order : order;
}

/** By code points, which is the order of the UTF-8 bytes; JavaScript's own is that of UTF-16. */
export function compareText(a: string, b: string): number {
  if (a === b) return 0;
  const length = Math.min(a.length, b.length);
  for (let i = 0; i < length; i += 1) {
    const [x, y] = [a.charCodeAt(i), b.charCodeAt(i)];
    if (x !== y) return rank(x) - rank(y);
  }
  return a.length - b.length;
}

/** Halves of surrogate pairs stand for code points above all others. */
function rank(unit: number): number {
  return unit >= 0xd800 && unit <= 0xdfff ? unit + 0x10000 : unit;
}
