import fc from 'fast-check';
import { expect, test } from 'vitest';
import { makeSelection } from '../../adapters/mongodb/index.ts';
import { reversedChoice } from './plan.ts';

interface Choice {
  readonly include: string[];
  readonly exclude: string[];
  readonly rename: string[];
}

const select = ({ include, exclude, rename }: Choice) => makeSelection(include, exclude, rename);
const DATABASES = ['shop', 'ship', 'bank'];
const NAMES = ['orders', 'old', 'a.b'];
const ALL = DATABASES.flatMap((db) => NAMES.map((name) => ({ db, name })));

const arbDb = fc.constantFrom(...DATABASES, 'sh*', '*', 's?op');
const arbPattern = fc.oneof(
  arbDb,
  fc.tuple(arbDb, fc.constantFrom(...NAMES, 'o*', '*')).map(([db, name]) => `${db}.${name}`),
);
/** Names of the target are names of its own, as preflight asks for: nothing of ours lies under them at the source. */
const arbRenames = fc
  .record({
    databases: fc.subarray(DATABASES),
    collections: fc.subarray(ALL.map(({ db, name }) => `${db}.${name}`)),
  })
  .map(({ databases, collections }) => [
    ...databases.map((db) => `${db}=new${db}`),
    ...collections.map((name) => `${name}=moved.${name.replaceAll('.', '-')}`),
  ]);
const arbChoice: fc.Arbitrary<Choice> = fc.record({
  include: fc.array(arbPattern, { maxLength: 3 }),
  exclude: fc.array(
    arbPattern.filter((pattern) => !pattern.startsWith('*')),
    { maxLength: 2 },
  ),
  rename: arbRenames,
});

test('everything chosen is chosen under its target name, and leads back to where it came from', () => {
  fc.assert(
    fc.property(arbChoice, (choice) => {
      const forward = select(choice);
      const back = select(reversedChoice(choice));
      for (const { db, name } of ALL) {
        if (!forward.includes(db, name)) continue;
        const to = forward.target(db, name);
        expect(back.includes(to.db, to.collection), `${db}.${name} → ${to.db}.${to.collection}`).toBe(true);
        expect(back.target(to.db, to.collection)).toEqual({ db, collection: name });
      }
    }),
    { numRuns: 200 },
  );
});

test('nothing that is not chosen flows back from its target name', () => {
  fc.assert(
    fc.property(arbChoice, (choice) => {
      const forward = select(choice);
      const back = select(reversedChoice(choice));
      for (const { db, name } of ALL) {
        const to = forward.target(db, name);
        // A pattern may choose that name itself, for a collection that lies there at the source.
        if (forward.includes(db, name) || forward.includes(to.db, to.collection)) continue;
        expect(back.includes(to.db, to.collection), `${db}.${name} → ${to.db}.${to.collection}`).toBe(false);
      }
    }),
    { numRuns: 200 },
  );
});

test('reversed twice it is the same choice', () => {
  fc.assert(
    fc.property(arbChoice, (choice) => {
      const forward = select(choice);
      const again = select(reversedChoice(reversedChoice(choice)));
      for (const { db, name } of ALL) {
        if (!forward.includes(db, name)) continue;
        expect(again.includes(db, name)).toBe(true);
        expect(again.target(db, name)).toEqual(forward.target(db, name));
      }
    }),
    { numRuns: 100 },
  );
});

test.each([
  [['shop'], [], ['shop=store'], { include: ['store'], exclude: [], rename: ['store=shop'] }],
  [
    ['shop.orders'],
    ['shop.tmp*'],
    ['shop=store'],
    { include: ['store.orders'], exclude: ['store.tmp*'], rename: ['store=shop'] },
  ],
  [
    ['shop'],
    [],
    ['shop.orders=archive.bills'],
    { include: ['shop', 'archive.bills'], exclude: [], rename: ['archive.bills=shop.orders'] },
  ],
  [['bank'], [], ['shop.orders=archive.bills'], { include: ['bank'], exclude: ['archive.bills'], rename: [] }],
  [['sh*'], [], ['shop=store'], { include: ['sh*', 'store'], exclude: [], rename: ['store=shop'] }],
  [[], ['s*.log'], ['shop=store'], { include: [], exclude: ['s*.log', 'store.log'], rename: ['store=shop'] }],
  [[], [], [], { include: [], exclude: [], rename: [] }],
])('include %j, exclude %j, rename %j', (include, exclude, rename, expected) => {
  expect(reversedChoice({ include, exclude, rename })).toEqual(expected);
});
