/**
 * BSON's four kinds of number on one line. MongoDB compares them by value and
 * exactly (docs: "Comparison/Sort Order"), so rounding an int64 or a
 * Decimal128 to a double may only ever be a first look.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import { BSON_TYPE } from './types.ts';
import { readInt32 } from './walk.ts';

/** A finite Decimal128: `coefficient * 10^exponent`. Its infinities and NaN are plain numbers. */
export interface Decimal {
  readonly coefficient: bigint;
  readonly exponent: number;
  /** The double nearest to it. */
  readonly nearest: number;
}

/** Where JavaScript has an exact form, that one is used: it compares number with bigint exactly. */
export type BsonNumber = number | bigint | Decimal;

const EXPONENT_BIAS = 6176;
const MAX_COEFFICIENT = 10n ** 34n - 1n;
const LOW_113_BITS = (1n << 113n) - 1n;

/** Reads a Decimal128 in the binary-integer encoding of IEEE 754-2008, section 3.5. */
function readDecimal(buf: Buffer, offset: number): number | Decimal {
  const high = buf.readBigUInt64LE(offset + 8);
  const negative = high >> 63n === 1n;
  const combination = Number((high >> 58n) & 0x1fn);
  if (combination === 0x1f) return Number.NaN;
  if (combination === 0x1e) return negative ? Number.NEGATIVE_INFINITY : Number.POSITIVE_INFINITY;
  // Leading bits 11 announce coefficients too large for 34 digits; those count as zero.
  if (combination >> 3 === 3) return 0;
  const magnitude = ((high << 64n) | buf.readBigUInt64LE(offset)) & LOW_113_BITS;
  if (magnitude === 0n || magnitude > MAX_COEFFICIENT) return 0;
  const coefficient = negative ? -magnitude : magnitude;
  const exponent = Number((high >> 49n) & 0x3fffn) - EXPONENT_BIAS;
  return { coefficient, exponent, nearest: Number(`${coefficient}e${exponent}`) };
}

export function readNumber(type: number, buf: Buffer, offset: number): BsonNumber {
  switch (type) {
    case BSON_TYPE.int32:
      return readInt32(buf, offset);
    case BSON_TYPE.double:
      return buf.readDoubleLE(offset);
    case BSON_TYPE.int64:
      return readInt64(buf, offset);
    case BSON_TYPE.decimal128:
      return readDecimal(buf, offset);
    default:
      throw new GodwitError('GW9001', `BSON type ${type} is not a number`);
  }
}

/** An int64 as a number where that is exact, which spares most of them a bigint. */
function readInt64(buf: Buffer, offset: number): number | bigint {
  const high = readInt32(buf, offset + 4);
  if (high >= -0x200000 && high < 0x200000) return high * 0x1_0000_0000 + (readInt32(buf, offset) >>> 0);
  return buf.readBigInt64LE(offset);
}

/** The double nearest to the number; equal numbers give equal doubles, and no -0. */
export function nearestDouble(value: BsonNumber): number {
  if (typeof value === 'object') return value.nearest + 0;
  return Number(value) + 0;
}

export function compareNumbers(a: BsonNumber, b: BsonNumber): number {
  if (typeof a !== 'object' && typeof b !== 'object') return comparePlain(a, b);
  const x = typeof a === 'object' ? a.nearest : a;
  const y = typeof b === 'object' ? b.nearest : b;
  // Rounding never turns an order round; only a tie has to be looked at exactly.
  const rough = comparePlain(Number(x), Number(y));
  if (rough !== 0) return rough;
  return compareExact(toFraction(a), toFraction(b));
}

/** NaN is below every number and equal to itself. */
function comparePlain(a: number | bigint, b: number | bigint): number {
  if (a < b) return -1;
  if (a > b) return 1;
  if (a === b) return 0;
  const aNaN = Number.isNaN(a);
  const bNaN = Number.isNaN(b);
  if (aNaN) return bNaN ? 0 : -1;
  return bNaN ? 1 : 0;
}

/** `top * 2^twos * 10^tens`, or an infinity or NaN. */
interface Fraction {
  readonly top: bigint;
  readonly twos: number;
  readonly tens: number;
}

function toFraction(value: BsonNumber): Fraction | number {
  if (typeof value === 'object') return { top: value.coefficient, twos: 0, tens: value.exponent };
  if (typeof value === 'bigint') return { top: value, twos: 0, tens: 0 };
  if (!Number.isFinite(value)) return value;
  let top = value;
  let twos = 0;
  // Doubling a double is exact until its fraction is gone; at most 1074 times.
  while (!Number.isInteger(top)) {
    top *= 2;
    twos--;
  }
  return { top: BigInt(top), twos, tens: 0 };
}

function compareExact(a: Fraction | number, b: Fraction | number): number {
  if (typeof a === 'number') return typeof b === 'number' ? comparePlain(a, b) : a > 0 ? 1 : -1;
  if (typeof b === 'number') return b > 0 ? -1 : 1;
  const twos = Math.min(a.twos, b.twos);
  const tens = Math.min(a.tens, b.tens);
  const left = a.top * 2n ** BigInt(a.twos - twos) * 10n ** BigInt(a.tens - tens);
  const right = b.top * 2n ** BigInt(b.twos - twos) * 10n ** BigInt(b.tens - tens);
  return left < right ? -1 : left > right ? 1 : 0;
}
