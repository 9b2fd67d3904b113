/** Values and documents of every BSON type that a server takes, made from a seeded stream. */
import {
  Binary,
  BSONRegExp,
  BSONSymbol,
  Code,
  Decimal128,
  type Document,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
} from 'bson';
import type { Rng } from './rng.ts';

/** Field names that trip translators: paths, operators, array positions, nothing at all. */
export const ODD_NAMES = ['a.b', '$d', '0', '', 'r0.1', '$set', 'é', '$v', 'u', 's', 'i', '.'] as const;

const TEXTS = ['', 'a', 'A', 'é', '日本', '👍', 'null\u0000inside', 'NaN', ' '.repeat(40), 'x'.repeat(300)] as const;
const DECIMALS = ['1', '1.0', '1E+3', 'NaN', '-0', 'Infinity', '0.1', '9999999999999999999999999999999999'] as const;
const SUBTYPES = [0, 1, 3, 4, 5, 6, 128] as const;

function bytes(rng: Rng, length: number): Buffer {
  const out = Buffer.alloc(length);
  for (let i = 0; i < length; i += 1) out[i] = rng.int(256);
  return out;
}

export function objectId(rng: Rng): ObjectId {
  return new ObjectId(bytes(rng, 12));
}

/** The same number in one of the types it can have: an update that changes nothing but the type. */
export function numberIn(rng: Rng, n: number): unknown {
  return rng.pick<() => unknown>([
    () => new Int32(n),
    () => Long.fromNumber(n),
    () => new Double(n),
    () => Decimal128.fromString(String(n)),
    () => Decimal128.fromString(`${n}.0`),
  ])();
}

const SCALARS: readonly ((rng: Rng) => unknown)[] = [
  (rng) => new Int32(rng.between(-5, 5)),
  (rng) => new Int32(rng.pick([2_147_483_647, -2_147_483_648])),
  (rng) => Long.fromBits(rng.int(0xffffffff), rng.int(0xffffffff)),
  (rng) => new Double(rng.next() * 1000),
  (rng) => new Double(rng.pick([-0, 0, 1, Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY, 5e-324])),
  (rng) => Decimal128.fromString(rng.pick(DECIMALS)),
  (rng) => rng.pick(TEXTS),
  (rng) => rng.chance(0.5),
  () => null,
  (rng) => new Date(rng.pick([0, -1, 1_700_000_000_000, -62_135_596_800_000])),
  objectId,
  (rng) => new Binary(bytes(rng, rng.pick([0, 1, 16, 90])), rng.pick(SUBTYPES)),
  (rng) => new Binary(bytes(rng, 16), 4),
  (rng) => new BSONRegExp('^a.*b$', rng.pick(['', 'i', 'imx'])),
  () => new Code('function () { return 1; }'),
  (rng) => new Code('x + y', { x: new Int32(rng.int(9)) }),
  (rng) => new BSONSymbol(rng.pick(TEXTS)),
  () => new MinKey(),
  () => new MaxKey(),
  (rng) => new Timestamp({ t: rng.int(2_000_000_000), i: rng.int(100) }),
];

/** Any value; documents and arrays down to `depth`. */
export function anyValue(rng: Rng, depth = 2): unknown {
  if (depth > 0 && rng.chance(0.15)) return Array.from({ length: rng.int(5) }, () => anyValue(rng, depth - 1));
  if (depth > 0 && rng.chance(0.15)) {
    // Timestamp(0,0) is replaced by the server at the top level only: nested it must stay.
    const out: Document = rng.chance(0.3) ? { zero: new Timestamp({ t: 0, i: 0 }) } : {};
    for (let i = rng.int(4); i > 0; i -= 1)
      out[rng.chance(0.2) ? rng.pick(ODD_NAMES) : `k${i}`] = anyValue(rng, depth - 1);
    return out;
  }
  return rng.pick(SCALARS)(rng);
}

/**
 * What the driver's types take for an `_id`. Ours are of every type there is; the driver sends them all,
 * only its types do not say so.
 */
export type AnyId = string | number | boolean | ObjectId | null;

/** The n-th `_id` of a pool: always the same value for the same n, of many types, some equal but for their type. */
export function idOf(n: number): AnyId {
  return idValue(n) as AnyId;
}

function idValue(n: number): unknown {
  const i = Math.floor(n / 12);
  switch (n % 12) {
    case 0:
      return new Int32(i);
    case 1:
      return `id-${(i * 2_654_435_761) % 100_003}`;
    case 2:
      return new ObjectId(Buffer.from(String(n).padStart(12, '0')));
    case 3:
      return Long.fromNumber(i + 1_000_000);
    case 4:
      return new Double(i + 0.5);
    case 5:
      return { a: new Int32(i), b: 'x' };
    case 6:
      return { b: 'x', a: new Int32(i) };
    case 7:
      return new Date(i * 1000);
    case 8:
      return new Binary(Buffer.from(`bin${i}`), 0);
    case 9:
      return Decimal128.fromString(`${i}.25`);
    case 10:
      return new Timestamp({ t: i + 1, i: 1 });
    default:
      return SINGLES[i % SINGLES.length];
  }
}

/** Each may exist once in a collection. NaN matches no range; MinKey and MaxKey lie outside all of them. */
const SINGLES: readonly unknown[] = [
  new Double(Number.NaN),
  null,
  true,
  false,
  new MinKey(),
  new MaxKey(),
  '',
  {},
  new Double(Number.POSITIVE_INFINITY),
  new Double(Number.NEGATIVE_INFINITY),
  new Timestamp({ t: 0, i: 0 }),
  new Code('id'),
  new BSONSymbol('id'),
  'NaN',
];

/** A business document: fields of known kinds for the update forms and indexes, and some of any kind. */
export function anyDocument(rng: Rng): Document {
  const doc: Document = {
    a: numberIn(rng, rng.int(1000)),
    b: rng.pick(['red', 'green', 'Blue', 'blue', 'RED']),
    arr: Array.from({ length: rng.int(12) }, () => new Int32(rng.int(1000))),
    items: Array.from({ length: rng.int(4) }, (_, i) => ({ k: `k${i}`, v: numberIn(rng, rng.int(10)) })),
    sub: { x: new Int32(rng.int(10)), y: 'y', n: new Int32(0) },
    txt: rng.pick(['the quick fox', 'lazy dogs', 'godwits fly far']),
    h: rng.pick(['h1', 'h2', 'h3']),
    pad: 'p'.repeat(rng.int(400)),
  };
  if (rng.chance(0.5)) doc['loc'] = { type: 'Point', coordinates: [rng.between(-170, 170), rng.between(-80, 80)] };
  if (rng.chance(0.3)) doc['pt'] = [rng.between(-170, 170), rng.between(-80, 80)];
  for (let i = rng.int(4); i > 0; i -= 1) doc[`r${rng.int(10)}`] = anyValue(rng);
  if (rng.chance(0.1)) doc[rng.pick(ODD_NAMES)] = anyValue(rng, 1);
  return doc;
}
