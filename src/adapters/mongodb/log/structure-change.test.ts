import { expect, test } from 'vitest';
import { makeSelection } from '../namespaces.ts';
import { rawEntry, trackedOfTests } from './entries.test-support.ts';
import { readEntry } from './entry.ts';
import { commandName, concernsUs, databaseOf, meaningOf, splitNamespace, unknownCommand } from './structure-change.ts';
import { TrackedCollections } from './tracked.ts';

const command = (o: object, over: object = {}) =>
  readEntry(rawEntry({ op: 'c', ns: 'shop.$cmd', ui: undefined, o, ...over }), 0, true);

test.each([
  ['create', 'structure'],
  ['drop', 'structure'],
  ['renameCollection', 'structure'],
  ['createIndexes', 'structure'],
  ['commitIndexBuild', 'structure'],
  ['dropIndexes', 'structure'],
  ['deleteIndex', 'structure'],
  ['collMod', 'structure'],
  ['dropDatabase', 'structure'],
  ['startIndexBuild', 'ignore'],
  ['abortIndexBuild', 'ignore'],
  ['applyOps', 'transaction'],
  ['commitTransaction', 'commit'],
  ['abortTransaction', 'abort'],
  ['convertToCapped', 'unknown'],
  ['emptycapped', 'unknown'],
  ['whatever', 'unknown'],
])('%s means %s', (name, meaning) => {
  expect(meaningOf(name)).toBe(meaning);
});

test('the name of a command is its first field', () => {
  expect(commandName(command({ drop: 'create' }))).toBe('drop');
  expect(commandName(command({ create: 'x', drop: 1 }))).toBe('create');
});

const known = TrackedCollections.of([trackedOfTests()]);
const OURS = { tracked: known, selection: makeSelection(['shop.orders', 'ship'], [], []) };

test.each([
  ['a collection we know, whatever its name is', { drop: 'renamed.since' }, {}, true],
  ['a chosen name', { create: 'orders' }, { ui: undefined }, true],
  ['a name that is not chosen', { create: 'carts' }, { ui: undefined }, false],
  ['a name in a database not ours', { create: 'orders' }, { ui: undefined, ns: 'bank.$cmd' }, false],
  [
    'a rename into the choice',
    { renameCollection: 'bank.x', to: 'shop.orders' },
    { ui: undefined, ns: 'bank.$cmd' },
    true,
  ],
  ['a rename elsewhere', { renameCollection: 'shop.carts', to: 'shop.old' }, { ui: undefined }, false],
  [
    'a rename of the unknown out of the choice',
    { renameCollection: 'ship.a', to: 'bank.a' },
    { ui: undefined, ns: 'ship.$cmd' },
    false,
  ],
  ['the end of a database of ours', { dropDatabase: 1 }, { ui: undefined }, true],
  ['the end of another', { dropDatabase: 1 }, { ui: undefined, ns: 'bank.$cmd' }, false],
])('%s', (_what, o, over, concerns) => {
  // Without `ui: undefined` the entry has the identity of the collection we know.
  const entry = readEntry(rawEntry({ op: 'c', ns: 'shop.$cmd', o, ...over }), 0, true);
  expect(concernsUs(entry, commandName(entry), OURS)).toBe(concerns);
});

test('the first dot separates database and collection', () => {
  expect(splitNamespace('shop.a.b')).toEqual({ db: 'shop', collection: 'a.b' });
  expect(databaseOf(command({ drop: 'x' }))).toBe('shop');
});

test('a command that cannot be carried is named with its place', () => {
  const error = unknownCommand(command({ convertToCapped: 'orders' }), 'convertToCapped');
  expect(error).toMatchObject({
    code: 'GW5003',
    details: { command: 'convertToCapped', namespace: 'shop.$cmd', position: '0000000500000001' },
  });
});
