import { Binary, Code, Decimal128, Double, deserialize, Int32, Long, ObjectId, serialize, Timestamp } from 'bson';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import type { ColumnType, Value } from '../../../kernel/remodel/index.ts';
import { parseJson } from './json-parse.ts';
import { jsonText } from './json-write.ts';
import { fieldOf, type Place } from './paths.ts';
import { decodeValue, encodeValue } from './values.ts';

function stored(value: unknown): Place {
  const place = fieldOf(Buffer.from(serialize({ v: value }, { ignoreUndefined: false })), 0, 'v');
  if (place === undefined) throw new Error('not stored');
  return place;
}
const decode = (type: ColumnType, value: unknown) => {
  const { type: bson, buf, start, end } = stored(value);
  return decodeValue(type, bson, buf, start, end);
};
const round = (type: ColumnType, value: Value) => decode(type, encodeValue(type, value));
const bytesOf = ({ type, buf, start, end }: Place) => `${type} ${buf.toString('hex', start, end)}`;

test.each<[ColumnType, Value[]]>([
  ['text', ['', ' ', 'null', '\u0000', 'a\'b"\\', '€😀', '\ufeffx', '$a.b']],
  ['integer', [0, 1, -1, 2147483647, -2147483648]],
  ['bigint', [0n, 1n, -1n, 2n ** 63n - 1n, -(2n ** 63n), 2n ** 53n + 1n]],
  [
    'numeric',
    [
      '0',
      '-0',
      '0.00',
      '1.50',
      '1.5',
      '-12.000',
      '1E+3',
      '1E-6176',
      'NaN',
      'Infinity',
      '-Infinity',
      '0.000000001',
      `${'9'.repeat(34)}`,
    ],
  ],
  ['float', [0, -0, 1, 1.5, Number.NaN, Infinity, -Infinity, 5e-324, 2 ** 53]],
  ['boolean', [true, false]],
  [
    'timestamp',
    [
      '2026-01-02T03:04:05Z',
      '2026-01-02T03:04:10.12Z',
      '1969-12-31T23:59:59.999Z',
      '0001-01-01T00:00:00Z',
      '+012026-01-02T00:00:00Z',
    ],
  ],
  ['date', ['2026-01-02', '0001-01-01', 'infinity']],
  ['uuid', ['00000000-0000-4000-8000-00000000000a']],
  ['bytes', [new Uint8Array(), new Uint8Array([0, 255])]],
])('%s comes back as it was', (type, values) => {
  for (const value of values) expect(round(type, value)).toEqual(value);
  expect(encodeValue(type, null)).toBeUndefined();
});

test.each<[ColumnType, unknown]>([
  ['integer', new Double(1)],
  ['integer', Long.fromNumber(1)],
  ['bigint', new Int32(1)],
  ['float', new Int32(1)],
  ['numeric', new Double(1)],
  ['numeric', '1'],
  ['text', new Int32(1)],
  ['timestamp', '2026-01-02T03:04:05Z'],
  ['timestamp', new Timestamp({ t: 1, i: 1 })],
  ['uuid', '00000000-0000-4000-8000-00000000000a'],
  ['uuid', new Binary(new Uint8Array(16), 3)],
  ['bytes', new Binary(new Uint8Array(16), 4)],
  ['boolean', new Int32(1)],
  ['date', new Date(0)],
  ['date', '2026-13-01'],
  ['json', new Code('x', { y: 1 })],
])('a field that is no %s is an error, never made one', (type, value) => {
  expect(() => decode(type, value)).toThrow(expect.objectContaining({ code: 'GW5006' }));
});

test.each<[ColumnType, Value]>([
  ['timestamp', '2026-01-02T03:04:05.000001Z'],
  ['timestamp', 'infinity'],
  ['timestamp', '2026-02-30T03:04:05Z'],
  ['integer', 1.5],
  ['integer', 2 ** 31],
  ['integer', -0],
  ['bigint', 2n ** 63n],
  ['bigint', 1],
  ['numeric', '1'.repeat(35)],
  ['numeric', 'one'],
  ['text', '\ud800'],
  ['text', 5],
  ['float', '1'],
  ['uuid', 'x'],
  ['json', '{"a":1'],
  ['json', '{"a":1,"a":2}'],
  ['json', '{"$oid":"x"}'],
  ['json', '1e400'],
])('a %s that would be changed is an error', (type, value) => {
  expect(() => encodeValue(type, value)).toThrow(expect.objectContaining({ code: 'GW5006' }));
});

test('json keeps types, order of names that are numbers, and plain JSON as it is', () => {
  const text =
    '{"b":1,"2":2.0,"1":{"$numberLong":"5"},"__proto__":{"x":[]},"big":9007199254740993,"d":{"$date":{"$numberLong":"-1"}},"n":null,"e":1e+21,"z":-0.0,"x":{"$numberDouble":"NaN"},"$ref":"a","y":{"$numberDecimal":"1.50"}}';
  expect(round('json', text)).toBe(text);
  for (const plain of ['{"others":[{"a":5,"b":"x","c":null,"d":1.5,"e":true}]}', '[]', '5', '"x"', '[1,[2,{}]]'])
    expect(round('json', plain)).toBe(plain);
  expect(round('json', ' { "a" : 1.50 } ')).toBe('{"a":1.5}');
  expect(round('json', '{"$date":"2026-01-02T03:04:05Z"}')).toBe('{"$date":{"$numberLong":"1767323045000"}}');
  expect(round('json', 'null')).toBeNull();
  expect(() => decode('json', new Map([['$oid', 'x']]))).toThrow('a field called $oid');
});

test('any BSON value goes through json and back to the same bytes', () => {
  const leaf = fc.oneof(
    fc.string({ unit: 'grapheme' }),
    fc.boolean(),
    fc.constant(null),
    fc.integer().map((n) => new Int32(n)),
    fc.double().map((n) => new Double(n)),
    fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => Long.fromBigInt(n)),
    fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => new ObjectId(bytes)),
    fc.tuple(fc.uint8Array(), fc.constantFrom(0, 2, 3, 4, 5, 128)).map(([bytes, type]) => new Binary(bytes, type)),
    fc
      .tuple(fc.bigInt(-(10n ** 33n), 10n ** 33n), fc.integer({ min: -6000, max: 6000 }))
      .map(([n, e]) => Decimal128.fromString(`${n}E${e}`)),
    fc.date({ noInvalidDate: true }),
    fc.tuple(fc.nat(), fc.nat()).map(([t, i]) => new Timestamp({ t, i })),
  );
  const { value } = fc.letrec((tie) => ({
    value: fc.oneof({ maxDepth: 4 }, leaf, fc.array(tie('value'), { maxLength: 4 }), tie('document')),
    document: fc
      .array(
        fc.tuple(
          fc.oneof(
            fc.nat(9).map(String),
            fc.string().filter((name) => !name.includes('\0') && !name.startsWith('$')),
          ),
          tie('value'),
        ),
        { maxLength: 5 },
      )
      .map((entries) => new Map(entries)),
  }));
  fc.assert(
    fc.property(value, (any) => {
      const place = stored(any);
      const text = jsonText(place.type, place.buf, place.start, place.end);
      JSON.parse(text);
      const again = parseJson(text);
      expect(bytesOf(stored(again))).toBe(bytesOf(place));
    }),
    { numRuns: 500 },
  );
  expect(
    deserialize(Buffer.from(serialize({ v: parseJson('{"$oid":"000000000000000000000001"}') })))['v'],
  ).toBeInstanceOf(ObjectId);
});
