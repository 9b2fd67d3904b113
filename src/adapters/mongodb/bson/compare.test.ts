import {
  Binary,
  BSONRegExp,
  Code,
  Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  serialize,
  Timestamp,
} from 'bson';
import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { arbNumber, arbValue } from './arbitraries.test-support.ts';
import { compareValues, idKey } from './compare.ts';
import { elementEnd, findElement, valueOffset } from './walk.ts';

/** A value as raw BSON. */
interface Raw {
  readonly type: number;
  readonly buf: Buffer;
  readonly start: number;
  readonly end: number;
}

function rawOf(value: unknown): Raw {
  const buf = Buffer.from(serialize({ v: value }, { checkKeys: false }));
  const at = findElement(buf, 0, 'v');
  return { type: buf[at]!, buf, start: valueOffset(buf, at), end: elementEnd(buf, at) };
}

const ofType = (type: number, value: Buffer): Raw => ({ type, buf: value, start: 0, end: value.length });

const compare = (a: Raw, b: Raw): number =>
  Math.sign(compareValues(a.type, a.buf, a.start, a.end, b.type, b.buf, b.start, b.end));
const key = (a: Raw): string => idKey(a.type, a.buf, a.start, a.end);

const symbol = (text: string): Raw => ({ ...rawOf(text), type: 0x0e });
const undefinedValue: Raw = ofType(0x06, Buffer.alloc(0));
const dbPointer: Raw = ofType(
  0x0c,
  Buffer.concat([Buffer.from('0300000061620000', 'hex').subarray(0, 7), Buffer.alloc(12)]),
);

/** Ascending; the members of one row are equal (MongoDB manual, "Comparison/Sort Order"). */
const ORDER: readonly (readonly Raw[])[] = [
  [rawOf(new MinKey())],
  [undefinedValue],
  [rawOf(null)],
  [rawOf(new Double(Number.NaN)), rawOf(Decimal128.fromString('NaN'))],
  [rawOf(new Double(Number.NEGATIVE_INFINITY)), rawOf(Decimal128.fromString('-Infinity'))],
  [rawOf(Decimal128.fromString('-1E+400'))],
  [rawOf(new Double(-(2 ** 63))), rawOf(Long.MIN_VALUE)],
  [rawOf(new Int32(-1)), rawOf(new Double(-1))],
  [rawOf(Decimal128.fromString('-1E-6176'))],
  [rawOf(new Int32(0)), rawOf(new Double(-0)), rawOf(Long.ZERO), rawOf(Decimal128.fromString('-0.000'))],
  [rawOf(Decimal128.fromString('1E-6176'))],
  [rawOf(new Double(5e-324))],
  // The double 0.1 is a little more than a tenth.
  [rawOf(Decimal128.fromString('0.1'))],
  [rawOf(new Double(0.1))],
  [rawOf(new Int32(1)), rawOf(new Double(1)), rawOf(Long.ONE), rawOf(Decimal128.fromString('1.000'))],
  [rawOf(new Double(1.5)), rawOf(Decimal128.fromString('1.5')), rawOf(Decimal128.fromString('1.50'))],
  [rawOf(new Double(2 ** 53)), rawOf(Long.fromBigInt(2n ** 53n))],
  [rawOf(Long.fromBigInt(2n ** 53n + 1n)), rawOf(Decimal128.fromString('9007199254740993'))],
  [rawOf(Long.MAX_VALUE), rawOf(Decimal128.fromString('9223372036854775807'))],
  [rawOf(new Double(2 ** 63)), rawOf(Decimal128.fromString('9223372036854775808'))],
  [rawOf(new Double(Number.MAX_VALUE))],
  [rawOf(Decimal128.fromString('1E+400'))],
  [rawOf(new Double(Number.POSITIVE_INFINITY)), rawOf(Decimal128.fromString('Infinity'))],
  [rawOf(''), symbol('')],
  [rawOf('A')],
  [rawOf('a'), symbol('a')],
  [rawOf('a\0')],
  [rawOf('a\0b')],
  [rawOf('aa')],
  // By UTF-8 bytes U+FFFD comes before U+1F426, by UTF-16 units it would not.
  [rawOf('\ufffd')],
  [rawOf('\u{1f426}')],
  [rawOf({})],
  // The type of the first element counts before its name.
  [rawOf({ z: 1 }), rawOf({ z: new Double(1) })],
  [rawOf({ z: 1, a: 1 })],
  [rawOf({ z: 2 })],
  [rawOf({ a: 'x' })],
  [rawOf([])],
  [rawOf([1]), rawOf([Decimal128.fromString('1.0')])],
  [rawOf([1, 'a'])],
  [rawOf([[]])],
  [rawOf(new Binary(Buffer.alloc(0), 5))],
  [rawOf(new Binary(Buffer.from([9]), 0))],
  [rawOf(new Binary(Buffer.from([1]), 128))],
  [rawOf(new Binary(Buffer.from([0, 0]), 0))],
  [rawOf(new ObjectId('000000000000000000000001'))],
  [rawOf(new ObjectId('ff0000000000000000000000'))],
  [rawOf(false)],
  [rawOf(true)],
  [rawOf(new Date(-1))],
  [rawOf(new Date(0))],
  [rawOf(new Date(2 ** 33))],
  [rawOf(new Timestamp({ t: 0, i: 1 }))],
  [rawOf(new Timestamp({ t: 1, i: 0xffff_ffff }))],
  [rawOf(new Timestamp({ t: 0xffff_ffff, i: 0 }))],
  [rawOf(new BSONRegExp('a', 'i'))],
  [rawOf(new BSONRegExp('a', 'm'))],
  [rawOf(new BSONRegExp('ab', ''))],
  [dbPointer],
  [rawOf(new Code('f'))],
  [rawOf(new Code('a', { x: 1 })), rawOf(new Code('a', { x: new Double(1) }))],
  [rawOf(new Code('a', { x: 2 }))],
  [rawOf(new Code('b', { x: 1 }))],
  [rawOf(new MaxKey())],
];

describe('compareValues', () => {
  test("keeps the manual's order", () => {
    for (const [i, low] of ORDER.entries()) {
      for (const [j, high] of ORDER.entries()) {
        for (const a of low) for (const b of high) expect([i, j, compare(a, b)]).toEqual([i, j, Math.sign(i - j)]);
      }
    }
  });

  test('a decimal with too large a coefficient is zero', () => {
    const large = Buffer.alloc(16, 0xff);
    large[15] = 0x6c;
    expect(compare(ofType(0x13, large), rawOf(0))).toBe(0);
    expect(key(ofType(0x13, large))).toBe(key(rawOf(0)));
  });

  for (const [what, values] of [
    ['numbers', arbNumber],
    ['all values', arbValue],
  ] as const) {
    test(`is a total order of ${what}`, () => {
      const raws = (values as fc.Arbitrary<unknown>).map(rawOf);
      fc.assert(
        fc.property(raws, raws, raws, (a, b, c) => {
          expect(compare(a, a)).toBe(0);
          expect(compare(a, b)).toBe(-compare(b, a) + 0);
          const [x, y, z] = [a, b, c].sort(compare) as [Raw, Raw, Raw];
          expect(compare(x, y)).toBeLessThanOrEqual(0);
          expect(compare(y, z)).toBeLessThanOrEqual(0);
          expect(compare(x, z)).toBeLessThanOrEqual(0);
          if (compare(x, z) === 0) expect([compare(x, y), compare(y, z)]).toEqual([0, 0]);
        }),
        { numRuns: 2000 },
      );
    });
  }
});

describe('idKey', () => {
  test('is the same within a row of the order, and else differs but for rounding', () => {
    const rounded = new Set<string>();
    for (const row of ORDER) {
      const keys = new Set(row.map(key));
      expect(keys.size).toBe(1);
      const only = [...keys][0]!;
      if (!only.startsWith('n')) expect(rounded.has(only)).toBe(false);
      rounded.add(only);
    }
  });

  test('is equal for equal values, and different for different ones without numbers', () => {
    const raws = arbValue.map((value) => ({ value, raw: rawOf(value) }));
    fc.assert(
      fc.property(raws, raws, (a, b) => {
        if (compare(a.raw, b.raw) === 0) expect(key(a.raw)).toBe(key(b.raw));
        else if (key(a.raw) === key(b.raw)) expect(holdsNumber(a.value)).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });

  test('sees the numbers within documents as one, and the order of fields as two', () => {
    const one = { a: { b: [new Int32(1), new Double(-0)] }, c: 'x' };
    const same = { a: { b: [Decimal128.fromString('1.0'), Long.ZERO] }, c: 'x' };
    expect(key(rawOf(one))).toBe(key(rawOf(same)));
    expect(key(rawOf({ a: 1, b: 2 }))).not.toBe(key(rawOf({ b: 2, a: 1 })));
    expect(key(rawOf({ a: '1:n' }))).not.toBe(key(rawOf({ a: 1 })));
    expect(key(rawOf(['ab', 'c']))).not.toBe(key(rawOf(['a', 'bc'])));
  });

  test('a symbol and a string of the same bytes are one key', () => {
    expect(key(symbol('k\0é'))).toBe(key(rawOf('k\0é')));
  });
});

function holdsNumber(value: unknown): boolean {
  if (value instanceof Int32 || value instanceof Double || value instanceof Long || value instanceof Decimal128)
    return true;
  if (value instanceof Code) return value.scope !== null;
  if (Array.isArray(value)) return value.some(holdsNumber);
  return typeof value === 'object' && value !== null && Object.values(value).some(holdsNumber);
}
