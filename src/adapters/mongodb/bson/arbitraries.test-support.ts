/** Random BSON for property tests. */
import { Binary, BSONRegExp, Code, Decimal128, Double, Int32, Long, MaxKey, MinKey, ObjectId, Timestamp } from 'bson';
import fc from 'fast-check';

/** Names as awkward as BSON allows: empty, alike, not ASCII; never with a NUL. */
const arbName = fc.oneof(
  fc.constantFrom('', 'a', 'A', '_id', '0', 'é', 'e\u0301', '$x', 'a.b'),
  fc.string({ unit: 'binary', maxLength: 8 }).map((text) => text.replaceAll('\0', '0')),
);

const arbText = fc.oneof(
  fc.constantFrom('', '\0', 'a', 'a\0', 'a\0b', 'é'),
  fc.string({ unit: 'binary', maxLength: 12 }),
);

const arbPattern = fc.string({ maxLength: 6 }).map((text) => text.replaceAll('\0', ''));

/** Numbers that meet each other across the types, and the edges of each type. */
export const arbNumber = fc.oneof(
  fc.integer().map((value) => new Int32(value)),
  fc.integer({ min: -3, max: 3 }).map((value) => new Int32(value)),
  fc.integer({ min: -3, max: 3 }).map((value) => new Double(value)),
  fc.integer({ min: -3, max: 3 }).map((value) => Long.fromNumber(value)),
  fc.integer({ min: -3, max: 3 }).map((value) => Decimal128.fromString(`${value}.00`)),
  fc.double().map((value) => new Double(value)),
  fc
    .constantFrom(
      0,
      -0,
      Number.NaN,
      Number.POSITIVE_INFINITY,
      Number.NEGATIVE_INFINITY,
      2 ** 53,
      2 ** 63,
      -(2 ** 63),
      0.1,
      5e-324,
    )
    .map((value) => new Double(value)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((value) => Long.fromBigInt(value)),
  fc.bigInt({ min: 2n ** 53n - 2n, max: 2n ** 53n + 2n }).map((value) => Long.fromBigInt(value)),
  fc
    .constantFrom(
      'NaN',
      'Infinity',
      '-Infinity',
      '-0',
      '0E+6000',
      '0.1',
      '9007199254740993',
      '9223372036854775807',
      '9223372036854775808',
      '1E-6176',
      '-1E-6176',
      '9.999999999999999999999999999999999E+6144',
      '1.5',
      '1.50',
      '0.1000000000000000055511151231257827',
    )
    .map((text) => Decimal128.fromString(text)),
  fc
    .tuple(fc.bigInt({ min: -(10n ** 34n) + 1n, max: 10n ** 34n - 1n }), fc.integer({ min: -60, max: 60 }))
    .map(([coefficient, exponent]) => Decimal128.fromString(`${coefficient}E${exponent}`)),
);

const arbLeaf = fc.oneof(
  { weight: 4, arbitrary: arbNumber },
  { weight: 3, arbitrary: arbText },
  fc.boolean(),
  fc.constant(null),
  fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => new ObjectId(bytes)),
  fc
    .tuple(fc.uint8Array({ maxLength: 20 }), fc.constantFrom(0, 2, 3, 5, 128))
    .map(([bytes, subtype]) => new Binary(bytes, subtype)),
  fc.integer({ min: -(10 ** 13), max: 10 ** 13 }).map((ms) => new Date(ms)),
  fc.tuple(fc.nat(), fc.nat()).map(([t, i]) => new Timestamp({ t, i })),
  fc.tuple(arbPattern, fc.constantFrom('', 'i', 'im')).map(([pattern, flags]) => new BSONRegExp(pattern, flags)),
  arbText.map((text) => new Code(text)),
  fc.tuple(arbText, fc.integer({ min: 0, max: 2 })).map(([text, x]) => new Code(text, { x })),
  fc.constant(new MinKey()),
  fc.constant(new MaxKey()),
);

const { value: arbAny, document: arbNested } = fc.letrec<{ value: unknown; document: Record<string, unknown> }>(
  (tie) => ({
    value: fc.oneof(
      { depthSize: 'small', withCrossShrink: true },
      arbLeaf,
      tie('document'),
      fc.array(tie('value'), { maxLength: 3 }),
    ),
    document: fc.dictionary(arbName, tie('value'), { maxKeys: 5, noNullPrototype: true }),
  }),
);

export const arbValue = arbAny;
export const arbDocument = arbNested;
