import { type Document, deserialize, Long, serialize } from 'bson';
import { expect, test } from 'vitest';
import { findElement, valueOffset } from './bson/walk.ts';
import {
  deferralOf,
  deferredIndex,
  indexKey,
  indexName,
  indexOption,
  NEVER_EXPIRES,
  splitIndexes,
} from './structure.ts';

const raw = (spec: Document | Map<string, unknown>) => Buffer.from(serialize(spec as Document));
/** An index whose key pattern has names that look like numbers, in an order that objects do not keep. */
const NUMERIC_KEY = new Map([
  ['b', 1],
  ['10', -1],
  ['2', 1],
]);

function namesOf(doc: Buffer): string[] {
  const names: string[] = [];
  for (let at = 4; at < doc.length - 1; ) {
    const end = doc.indexOf(0, at + 1);
    names.push(doc.toString('utf8', at + 1, end));
    at = end + 1 + 4;
  }
  return names;
}

test('the order of keys that look like numbers is kept', () => {
  const spec = raw({ v: 2, key: NUMERIC_KEY, name: 'n', unique: true });
  const deferred = deferredIndex(spec);
  expect(namesOf(indexKey(deferred))).toEqual(['b', '10', '2']);
  expect(indexKey(deferred).equals(indexKey(spec))).toBe(true);
});

test('deferred: not unique, never expiring, otherwise byte for byte the same', () => {
  const spec = raw({
    v: 2,
    unique: true,
    prepareUnique: true,
    key: { at: 1 },
    name: 'at_1',
    ns: 'a.b',
    background: true,
    buildUUID: 'x',
    expireAfterSeconds: Long.fromNumber(60),
    partialFilterExpression: { x: { $gt: Long.fromNumber(5) } },
    collation: { locale: 'de' },
  });
  const deferred = deferredIndex(spec);
  expect(Object.keys(deserialize(deferred))).toEqual([
    'v',
    'key',
    'name',
    'expireAfterSeconds',
    'partialFilterExpression',
    'collation',
  ]);
  expect(deserialize(deferred)['expireAfterSeconds']).toBe(NEVER_EXPIRES);
  // The type of a number inside is not changed by having been decoded.
  const filter = findElement(deferred, 0, 'partialFilterExpression');
  expect(deferred.subarray(valueOffset(deferred, filter)).includes(Buffer.from([0x12, 0x24, 0x67, 0x74, 0]))).toBe(
    true,
  );
});

test.each([
  [{ unique: true }, { unique: true, ttl: false }],
  [{ unique: 1 }, { unique: true, ttl: false }],
  [{ unique: 0 }, { unique: false, ttl: false }],
  [
    { unique: false, expireAfterSeconds: 0 },
    { unique: false, ttl: true },
  ],
  [{ expireAfterSeconds: Number.NaN }, { unique: false, ttl: true }],
  [{}, { unique: false, ttl: false }],
])('what waits for the cutover of %j', (options, deferral) => {
  expect(deferralOf(raw({ key: { a: 1 }, name: 'a', ...options }))).toEqual(deferral);
});

test('name, key and options of a specification', () => {
  const spec = raw({ key: { a: 1 }, name: 'a_1', sparse: true });
  expect(indexName(spec)).toBe('a_1');
  expect(deserialize(indexKey(spec))).toEqual({ a: 1 });
  expect(indexOption(spec, 'sparse')).toEqual({ type: 0x08, value: Buffer.from([1]) });
  expect(indexOption(spec, 'unique')).toBeUndefined();
  expect(() => indexKey(raw({ name: 'x' }))).toThrow(expect.objectContaining({ code: 'GW9001' }));
});

function split(specs: readonly (Document | Map<string, unknown>)[]) {
  const { now, later } = splitIndexes(specs.map(raw));
  return { now: now.map(indexName).sort(), later: later.map(indexName).sort() };
}

test('a unique index that would coincide with a plain one on the same keys waits whole', () => {
  const plain = { key: { a: 1 }, name: 'plain' };
  const unique = { key: { a: 1 }, name: 'unique', unique: true };
  expect(split([unique, plain])).toEqual({ now: ['plain'], later: ['unique'] });
  expect(split([plain, unique])).toEqual({ now: ['plain'], later: ['unique'] });
});

test.each([
  ['another direction', { key: { a: -1 } }],
  ['another type of index', { key: { a: 'hashed' } }],
  ['sparse', { key: { a: 1 }, sparse: true }],
  ['a collation', { key: { a: 1 }, collation: { locale: 'de' } }],
  ['a partial filter', { key: { a: 1 }, partialFilterExpression: { a: 1 } }],
  ['more keys', { key: { a: 1, b: 1 } }],
])('%s makes it another index', (_what, other) => {
  const { now, later } = split([
    { key: { a: 1 }, name: 'plain' },
    { ...other, name: 'other', unique: true },
  ]);
  expect(now).toEqual(['other', 'plain']);
  expect(later).toEqual([]);
});

test('the order of keys makes another index, also of names that look like numbers', () => {
  const first = new Map<string, unknown>([
    ['key', NUMERIC_KEY],
    ['name', 'first'],
  ]);
  const second = new Map<string, unknown>([
    ['key', new Map([...NUMERIC_KEY].reverse())],
    ['name', 'second'],
    ['unique', true],
  ]);
  expect(split([first, second])).toEqual({ now: ['first', 'second'], later: [] });
});
