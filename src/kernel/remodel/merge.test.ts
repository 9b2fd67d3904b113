import { expect, test } from 'vitest';
import { bigint, defineMigration, mergePast, pgTable, type Row, type State, text, uuid } from './index.ts';

const model = defineMigration({
  name: 'subs',
  key: 'id',
  from: pgTable('customers', { id: bigint(), email: text(), plan: text().nullable() }),
  to: {
    customer: pgTable('customers_v2', { id: bigint(), email: text() }),
    sub: pgTable('subs', { subId: uuid(), id: bigint(), plan: text() }, { many: true, id: 'subId' }),
  },
  up: (old) => ({
    customer: { id: old.id, email: old.email },
    sub: old.plan === null ? [] : [{ id: old.id, plan: old.plan }],
  }),
  down: ({ customer, sub: [sub] }) => ({ ...customer, plan: sub?.plan ?? null }),
  inverse: { policy: 'pick', choose: (rows) => rows.at(-1) as Row },
});
const OLD = { id: 1n, email: 'a', plan: 'gold' };
const sub = (n: number, plan: string) => ({ subId: `00000000-0000-4000-8000-00000000000${n}`, id: 1n, plan });
const state = (email: string, ...subs: Row[]): State => ({ customer: [{ id: 1n, email }], sub: subs });

test('columns that each side changed are both kept; theirs wins where both did', () => {
  const ours = state('ours', ...(model.up(OLD)['sub'] as Row[]));
  expect(model.down(mergePast(model, ours, OLD, { ...OLD, plan: 'theirs' }) as State)).toEqual({
    id: 1n,
    email: 'ours',
    plan: 'theirs',
  });
  expect(mergePast(model, ours, OLD, { ...OLD, email: 'theirs' })?.['customer']).toEqual([{ id: 1n, email: 'theirs' }]);
});

test('a row with an id of its own is found by what it holds, or as the one shown', () => {
  const both = state('a', sub(1, 'gold'), sub(2, 'tin'));
  expect(mergePast(model, both, OLD, { ...OLD, plan: 'iron' })?.['sub']).toEqual([sub(1, 'iron'), sub(2, 'tin')]);
  const changedHere = state('a', sub(1, 'zinc'), sub(2, 'tin'));
  expect(mergePast(model, changedHere, OLD, { ...OLD, plan: 'iron' })?.['sub']).toEqual([
    sub(1, 'zinc'),
    sub(2, 'iron'),
  ]);
  expect(mergePast(model, both, OLD, { ...OLD, plan: null })?.['sub']).toEqual([sub(2, 'tin')]);
});

test('deletes and rows made anew', () => {
  const ours = state('a');
  expect(mergePast(model, ours, OLD, undefined)).toBeUndefined();
  expect(mergePast(model, undefined, undefined, OLD)).toEqual(model.up(OLD));
  expect(mergePast(model, undefined, OLD, { ...OLD, plan: 'x' })).toBeUndefined();
  expect(mergePast(model, ours, undefined, undefined)).toBe(ours);
  expect(mergePast(model, ours, { ...OLD, plan: null }, OLD)).toEqual(model.up(OLD));
});
