import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeSelection } from './namespaces.ts';

test.each([
  [['shop'], [], 'shop.orders', true],
  [['shop'], [], 'shop.a.b.c', true],
  [['shop'], [], 'shop2.orders', false],
  [['shop'], [], 'bank.shop', false],
  [['shop.orders'], [], 'shop.orders', true],
  [['shop.orders'], [], 'shop.orders.old', false],
  [['shop.orders*'], [], 'shop.orders.old', true],
  [['sh?p.o*'], [], 'ship.o', true],
  [['sh?p.o*'], [], 'shp.o', false],
  [['s*.orders'], [], 'shop.x.orders', false],
  [['shop.a+b(c)'], [], 'shop.a+b(c)', true],
  [['shop.a+b'], [], 'shop.aab', false],
  [['shop.a-b/c|d'], [], 'shop.a-b/c|d', true],
  [['shop.?'], [], 'shop.😀', true],
  [['shop.??'], [], 'shop.😀', false],
  [['shop.a*z'], [], 'shop.a\n\u2028z', true],
  [['shop'], ['shop.tmp*'], 'shop.tmp1', false],
  [['shop'], ['shop.tmp*'], 'shop.orders', true],
  [['shop'], ['*.audit'], 'shop.audit', false],
  [[], [], 'any.thing', true],
  [[], ['any'], 'any.thing', false],
  [[], [], 'admin.x', false],
  [['admin', 'config', 'local'], [], 'config.x', false],
  [['*'], [], 'local.oplog.rs', false],
  [['shop'], [], 'shop.system.views', false],
  [['shop'], [], 'shop.system.profile', false],
  [['shop'], [], 'shop.system.js', true],
  [['shop.ts'], [], 'shop.system.buckets.ts', true],
  [['shop.ts'], [], 'shop.system.buckets.other', false],
  [['shop'], ['shop.ts'], 'shop.system.buckets.ts', false],
] as const)('%j without %j: %s is chosen: %s', (include, exclude, namespace, chosen) => {
  const dot = namespace.indexOf('.');
  expect(makeSelection(include, exclude, []).includes(namespace.slice(0, dot), namespace.slice(dot + 1))).toBe(chosen);
});

test('whole databases, touched databases', () => {
  const selection = makeSelection(['shop', 'bank.accounts'], ['shop.tmp'], []);
  expect(selection.touchesDatabase('shop')).toBe(true);
  expect(selection.touchesDatabase('bank')).toBe(true);
  expect(selection.touchesDatabase('zoo')).toBe(false);
  expect(selection.touchesDatabase('admin')).toBe(false);
  expect(selection.touchesDatabase('')).toBe(false);
  expect(selection.wholeDatabase('shop')).toBe(false);
  expect(selection.wholeDatabase('bank')).toBe(false);
  expect(makeSelection(['shop'], ['bank.x'], []).wholeDatabase('shop')).toBe(true);
  expect(makeSelection([], [], []).wholeDatabase('zoo')).toBe(true);
  expect(makeSelection([], [], []).wholeDatabase('local')).toBe(false);
});

test('renames: a database, one collection, a collection before its database, buckets with their series', () => {
  const { target } = makeSelection([], [], ['shop=store', 'shop.orders=archive.bills', 'shop.ts=store.series']);
  expect(target('shop', 'carts')).toEqual({ db: 'store', collection: 'carts' });
  expect(target('shop', 'orders')).toEqual({ db: 'archive', collection: 'bills' });
  expect(target('shop', 'system.buckets.ts')).toEqual({ db: 'store', collection: 'system.buckets.series' });
  expect(target('shop', 'system.buckets.x')).toEqual({ db: 'store', collection: 'system.buckets.x' });
  expect(target('bank', 'orders')).toEqual({ db: 'bank', collection: 'orders' });
  expect(makeSelection([], [], ['a=b', 'b=a']).target('a', 'x')).toEqual({ db: 'b', collection: 'x' });
});

test.each([
  [[''], []],
  [['.x'], []],
  [[], ['a']],
  [[], ['a=']],
  [[], ['a=b=c']],
  [[], ['a.b=c']],
  [[], ['a=c.d']],
])('include %j, rename %j is refused', (include, rename) => {
  expect(() => makeSelection(include, [], rename)).toThrow(expect.objectContaining({ code: 'GW1001' }));
});

const letter = fc.constantFrom('a', 'b', '-', '+', '(', '[', '|', '\\', '$', '^', '{', '\n', '\u2028', 'é', '😀');
const name = fc.array(letter, { minLength: 1, maxLength: 4 }).map((letters) => letters.join(''));
const collectionName = fc
  .array(fc.oneof(letter, fc.constant('.')), { minLength: 1, maxLength: 5 })
  .map((letters) => letters.join(''));
const glob = (of: fc.Arbitrary<string>) =>
  fc.array(fc.oneof(of, fc.constantFrom('*', '?')), { minLength: 1, maxLength: 3 }).map((parts) => parts.join(''));
const pattern = fc.oneof(
  glob(name),
  fc.tuple(glob(name), glob(collectionName)).map(([db, collection]) => `${db}.${collection}`),
);

/**
 * The server's dialect (PCRE with UTF) read by JavaScript: `u` counts
 * characters alike, and `.`, on which the two differ, must not be used at all.
 */
function asServerReads(source: string): RegExp {
  expect(source.replace(/\\./g, '').replace(/\[[^\]]*\]/g, ''), 'no dot that leaves out line ends').not.toMatch(/\./);
  return new RegExp(source, 'u');
}

test('the pattern for the server chooses exactly what `includes` does, but for excludes and temporary names', () => {
  fc.assert(
    fc.property(
      fc.array(pattern, { maxLength: 3 }),
      name,
      fc.oneof(collectionName, fc.constantFrom('system.js', 'system.buckets.a', 'system.buckets.ab')),
      (include, db, collection) => {
        const selection = makeSelection(include, [], []);
        const matches = asServerReads(selection.namespacePattern).test(`${db}.${collection}`);
        if (selection.includes(db, collection)) expect(matches).toBe(true);
        // A glob may also meet the server's own collections; those are passed over afterwards.
        else if (!collection.startsWith('system.')) expect(matches).toBe(false);
      },
    ),
    { numRuns: 250 },
  );
});

test('excludes never take anything out of what the server gives', () => {
  fc.assert(
    fc.property(
      fc.array(pattern, { maxLength: 2 }),
      fc.array(pattern, { maxLength: 2 }),
      name,
      collectionName,
      (include, exclude, db, collection) => {
        const selection = makeSelection(include, exclude, []);
        if (!selection.includes(db, collection)) return;
        expect(asServerReads(selection.namespacePattern).test(`${db}.${collection}`)).toBe(true);
        expect(selection.touchesDatabase(db)).toBe(true);
      },
    ),
    { numRuns: 250 },
  );
});

test('the pattern for commands chooses the databases that are touched', () => {
  fc.assert(
    fc.property(
      fc.array(pattern, { maxLength: 3 }),
      fc.oneof(name, fc.constantFrom('admin', 'local', 'config')),
      (include, db) => {
        const selection = makeSelection(include, [], []);
        const matches = asServerReads(selection.commandPattern).test(`${db}.$cmd`);
        if (selection.touchesDatabase(db)) expect(matches).toBe(true);
        // A database of the server that is named, or met by a glob, is let through and passed over afterwards.
        else if (!['admin', 'local', 'config'].includes(db)) expect(matches).toBe(false);
      },
    ),
    { numRuns: 250 },
  );
});

test('views and temporary collections of a chosen database reach us', () => {
  const selection = makeSelection(['shop.orders'], [], []);
  const server = asServerReads(selection.namespacePattern);
  for (const namespace of ['shop.system.views', 'shop.tmp.agg_out.1', 'shop.tmp4x.renameCollection'])
    expect(server.test(namespace)).toBe(true);
  for (const namespace of ['bank.system.views', 'shopXorders', 'shop.orders2'])
    expect(server.test(namespace)).toBe(false);
});
