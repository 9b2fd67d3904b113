import { expect, test } from 'vitest';
import { bigint, defineMigration, integer, type Model, pgTable, text, uuid } from '../../../../kernel/remodel/index.ts';
import { tryMadeUp } from '../commands/check.ts';
import { stateDifference, tryLaws } from './laws.ts';

interface Change {
  readonly up?: (name: string) => string;
  readonly down?: (name: string) => string;
}

function people({ up = (name) => name, down = (name) => name }: Change = {}): Model {
  return defineMigration({
    name: 'people',
    key: 'id',
    from: pgTable('people', { id: bigint(), name: text(), plan: text().nullable(), amount: integer().nullable() }),
    to: {
      person: pgTable('people_v2', { id: bigint(), name: text(), amount: integer().nullable() }),
      plan: pgTable('plans', { rowId: uuid(), id: bigint(), plan: text() }, { many: true, id: 'rowId' }),
    },
    up: (old) => ({
      person: { id: old.id, name: up(old.name), amount: old.amount },
      plan: old.plan === null ? [] : [{ id: old.id, plan: old.plan }],
    }),
    down: ({ person, plan: [plan] }) => ({ ...person, name: down(person.name), plan: plan?.plan ?? null }),
    inverse: { policy: 'block' },
  });
}

test('a definition that is right is not refuted', () => {
  expect(tryMadeUp(people(), 2_000, 1)).toEqual({ seed: 1, madeUpRows: 2_000, realRows: 0, sqlRows: 0 });
});

test.each<[string, Change, object]>([
  [
    'trimming loses blanks, and one is enough to show it',
    { up: (name) => name.trim() },
    { law: 'down(up(old)) is old', columns: ['name'], example: '{ id: 0n, name: " ", plan: null, amount: null }' },
  ],
  ['a counter is not pure', { up: counter() }, { law: 'up is pure', columns: ['person.name'] }],
  ['nor backwards', { down: counter() }, { law: 'down is pure', columns: ['name'] }],
  [
    'a throw is told',
    {
      up: (name) => {
        if (name.length > 3) throw new Error('too long');
        return name;
      },
    },
    { law: 'up takes every row', message: 'up threw: too long', example: expect.stringMatching(/name: ".{4}"/) },
  ],
])('%s', (_, change, broken) => {
  const report = tryMadeUp(people(change), 2_000, 1);
  expect(report.broken).toMatchObject(broken);
  expect(tryMadeUp(people(change), 2_000, 1).broken?.law).toBe(report.broken?.law);
});

test('up may not change the row it is given', () => {
  const model = people();
  const careless: Model = {
    ...model,
    up: (old) => {
      old['name'] = 'changed';
      return model.up(old);
    },
  };
  expect(tryLaws(careless, { id: 1n, name: 'a', plan: null, amount: null })?.law).toBe('up changes nothing');
});

test('what SQL makes of a row is compared by value and type, rows of a list in any order', () => {
  const model = people();
  const old = { id: 1n, name: 'a', plan: 'x', amount: 1 };
  const state = model.up(old);
  const row = (rowId: string, plan: string) => ({ rowId, id: 1n, plan });
  expect(tryLaws(model, old, state)).toBeUndefined();
  expect(tryLaws(model, old, { ...state, person: [{ id: 1n, name: 'a', amount: null }] })).toMatchObject({
    law: 'sql.up is up',
    columns: ['person.amount'],
  });
  expect(tryLaws(model, old, { ...state, plan: [] })?.columns).toEqual(['plan (1 and 0 rows)']);
  const two = { ...state, plan: [row('a', '1'), row('b', '2')] };
  expect(stateDifference(model, two, { ...two, plan: [...two.plan].reverse() })).toBeUndefined();
  expect(stateDifference(model, state, { ...state, person: [{ id: 1, name: 'a', amount: 1 }] })).toBe('person.id');
});

function counter(): (name: string) => string {
  let calls = 0;
  return (name) => {
    calls += 1;
    return `${name}${calls}`;
  };
}
