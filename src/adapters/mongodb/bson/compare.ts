/**
 * MongoDB's order of values under the simple collation, on raw bytes: the
 * order in which an index on `_id` gives them (MongoDB manual,
 * "Comparison/Sort Order"; BSONElement::compareElements in the server).
 */
import { GodwitError } from '../../../kernel/errors.ts';
import { compareNumbers, readNumber } from './numbers.ts';
import { BSON_TYPE as T } from './types.ts';
import { cstringEnd, docLength, readInt32, valueSize } from './walk.ts';

export { idKey } from './id-key.ts';

/** The type's rank: types of one rank are compared by value, the rest by rank alone. */
const RANK = new Uint8Array(256);
const RANKS: readonly (readonly number[])[] = [
  [T.minKey],
  [T.undefined],
  [T.null],
  [T.double, T.int32, T.int64, T.decimal128],
  [T.string, T.symbol],
  [T.object],
  [T.array],
  [T.binary],
  [T.objectId],
  [T.bool],
  [T.date],
  [T.timestamp],
  [T.regex],
  [T.dbPointer],
  [T.code],
  [T.codeWithScope],
  [T.maxKey],
];
RANKS.forEach((types, index) => {
  for (const type of types) RANK[type] = index + 1;
});

/** The place of a type in the order of types, from 1. */
export function typeRank(type: number): number {
  const rank = RANK[type]!;
  if (rank === 0) throw new GodwitError('GW9001', `Unknown BSON type 0x${type.toString(16).padStart(2, '0')}`);
  return rank;
}

/** Short keys differ early; the native comparison pays only for long ones. */
const LOOP_LIMIT = 24;

/** Unsigned bytes, then length. */
export function compareBytes(a: Buffer, aStart: number, aEnd: number, b: Buffer, bStart: number, bEnd: number): number {
  const aLength = aEnd - aStart;
  const bLength = bEnd - bStart;
  const shared = Math.min(aLength, bLength);
  const looped = Math.min(shared, LOOP_LIMIT);
  for (let i = 0; i < looped; i++) {
    const difference = a[aStart + i]! - b[bStart + i]!;
    if (difference !== 0) return difference;
  }
  if (shared > looped) {
    const rest = a.compare(b, bStart + looped, bStart + shared, aStart + looped, aStart + shared);
    if (rest !== 0) return rest;
  }
  return aLength - bLength;
}

/**
 * Negative, zero or positive as value a sorts before, with or after value b.
 * Zero is what a unique index calls the same key: 1 and 1.0, 0 and -0, a
 * string and a symbol of the same bytes.
 */
export function compareValues(
  aType: number,
  aBuf: Buffer,
  aStart: number,
  aEnd: number,
  bType: number,
  bBuf: Buffer,
  bStart: number,
  bEnd: number,
): number {
  const rank = typeRank(aType);
  const byRank = rank - typeRank(bType);
  if (byRank !== 0) return byRank;
  switch (aType) {
    case T.objectId:
    case T.dbPointer:
      if (aEnd - aStart !== bEnd - bStart) return aEnd - aStart - (bEnd - bStart);
      return compareBytes(aBuf, aStart, aEnd, bBuf, bStart, bEnd);
    case T.string:
    case T.symbol:
    case T.code:
      return compareBytes(aBuf, aStart + 4, aEnd - 1, bBuf, bStart + 4, bEnd - 1);
    case T.double:
    case T.int32:
    case T.int64:
    case T.decimal128:
      return compareNumbers(readNumber(aType, aBuf, aStart), readNumber(bType, bBuf, bStart));
    case T.binary: {
      const byLength = readInt32(aBuf, aStart) - readInt32(bBuf, bStart);
      // The subtype stands before the bytes and is compared before them.
      return byLength !== 0 ? byLength : compareBytes(aBuf, aStart + 4, aEnd, bBuf, bStart + 4, bEnd);
    }
    case T.bool:
      return (aBuf[aStart] === 0 ? 0 : 1) - (bBuf[bStart] === 0 ? 0 : 1);
    case T.date: {
      const byHigh = readInt32(aBuf, aStart + 4) - readInt32(bBuf, bStart + 4);
      return byHigh !== 0 ? byHigh : compareUnsigned(readInt32(aBuf, aStart), readInt32(bBuf, bStart));
    }
    case T.timestamp: {
      const bySeconds = compareUnsigned(readInt32(aBuf, aStart + 4), readInt32(bBuf, bStart + 4));
      return bySeconds !== 0 ? bySeconds : compareUnsigned(readInt32(aBuf, aStart), readInt32(bBuf, bStart));
    }
    case T.object:
      return compareDocuments(aBuf, aStart, bBuf, bStart, true);
    case T.array:
      return compareDocuments(aBuf, aStart, bBuf, bStart, false);
    case T.regex: {
      const aPattern = cstringEnd(aBuf, aStart);
      const bPattern = cstringEnd(bBuf, bStart);
      const byPattern = compareBytes(aBuf, aStart, aPattern, bBuf, bStart, bPattern);
      return byPattern !== 0 ? byPattern : compareBytes(aBuf, aPattern, aEnd, bBuf, bPattern, bEnd);
    }
    case T.codeWithScope: {
      const aScope = aStart + 8 + readInt32(aBuf, aStart + 4);
      const bScope = bStart + 8 + readInt32(bBuf, bStart + 4);
      const byCode = compareBytes(aBuf, aStart + 8, aScope - 1, bBuf, bStart + 8, bScope - 1);
      return byCode !== 0 ? byCode : compareDocuments(aBuf, aScope, bBuf, bScope, true);
    }
    default:
      // Null, undefined and the two ends have one value each.
      return 0;
  }
}

function compareUnsigned(a: number, b: number): number {
  return (a >>> 0) - (b >>> 0);
}

/**
 * Element by element: type, then name, then value; the one that ends first is
 * smaller. The names of an array's elements say nothing and are passed over,
 * as the index does.
 */
export function compareDocuments(a: Buffer, aStart: number, b: Buffer, bStart: number, names = true): number {
  const aEnd = aStart + docLength(a, aStart) - 1;
  const bEnd = bStart + docLength(b, bStart) - 1;
  let i = aStart + 4;
  let j = bStart + 4;
  while (i < aEnd && j < bEnd) {
    const aType = a[i]!;
    const bType = b[j]!;
    const byRank = typeRank(aType) - typeRank(bType);
    if (byRank !== 0) return byRank;
    const aName = cstringEnd(a, i + 1);
    const bName = cstringEnd(b, j + 1);
    if (names) {
      const byName = compareBytes(a, i + 1, aName, b, j + 1, bName);
      if (byName !== 0) return byName;
    }
    const aNext = aName + 1 + valueSize(aType, a, aName + 1);
    const bNext = bName + 1 + valueSize(bType, b, bName + 1);
    const byValue = compareValues(aType, a, aName + 1, aNext, bType, b, bName + 1, bNext);
    if (byValue !== 0) return byValue;
    i = aNext;
    j = bNext;
  }
  return (i < aEnd ? 1 : 0) - (j < bEnd ? 1 : 0);
}
