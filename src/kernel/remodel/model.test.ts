import { expect, expectTypeOf, test } from 'vitest';
import { bigint, defineMigration, integer, json, mongoCollection, pgTable, type State, text, uuid } from './index.ts';

const customers = pgTable('customers', {
  customerId: bigint(),
  email: text(),
  subPlan: text().nullable(),
  subAmount: integer().nullable(),
  subRest: json().nullable(),
});
const to = {
  customer: pgTable('customers_v2', { customerId: bigint(), email: text() }),
  subscription: pgTable(
    'subscriptions',
    { id: uuid(), customerId: bigint(), plan: text(), amount: integer() },
    { many: true },
  ),
};
type Policy = 'pick' | 'block' | 'overflow';
const make = (policy: Policy) =>
  defineMigration({
    name: 'subs',
    key: 'customerId',
    from: customers,
    to,
    up: (old) => {
      expectTypeOf(old.subPlan).toEqualTypeOf<string | null>();
      return {
        customer: { customerId: old.customerId, email: old.email },
        subscription:
          old.subPlan === null ? [] : [{ customerId: old.customerId, plan: old.subPlan, amount: old.subAmount ?? 0 }],
      };
    },
    down: ({ customer, subscription: [sub] }) => ({
      ...customer,
      subPlan: sub?.plan ?? null,
      subAmount: sub?.amount ?? null,
      subRest: null,
    }),
    inverse:
      policy === 'block'
        ? { policy }
        : policy === 'pick'
          ? { policy, choose: (rows) => rows.at(-1) as (typeof rows)[0] }
          : { policy, choose: (rows) => rows.at(-1) as (typeof rows)[0], column: 'subRest' },
  });
const OLD = { customerId: 7n, email: 'a@b', subPlan: 'gold', subAmount: 5, subRest: null };

test('up derives the same ids each time, and down is its inverse', () => {
  const model = make('block');
  const state = model.up(OLD);
  expect(state).toEqual(model.up({ ...OLD }));
  expect(state['subscription']?.[0]?.['id']).toMatch(/^[0-9a-f]{8}-[0-9a-f]{4}-8[0-9a-f]{3}-[89ab]/);
  expect(model.down(state)).toEqual(OLD);
  expect(model.down(model.up({ ...OLD, subPlan: null, subAmount: null }))).toMatchObject({ subPlan: null });
});

test('what the old model cannot hold is refused, counted as lossy, or kept', () => {
  const [first, second] = [
    { id: '00000000-0000-4000-8000-000000000001', customerId: 7n, plan: 'gold', amount: 5 },
    { id: '00000000-0000-4000-8000-000000000002', customerId: 7n, plan: 'tea', amount: 1 },
  ];
  const state: State = { customer: [{ customerId: 7n, email: 'a@b' }], subscription: [first, second] };
  expect(() => make('block').down(state)).toThrow(expect.objectContaining({ code: 'GW5005' }));
  expect(make('pick').down(state)).toMatchObject({ subPlan: 'tea', subRest: null });
  expect(make('pick').isLossy(state)).toBe(true);
  const overflow = make('overflow');
  expect(overflow.isLossy(state)).toBe(false);
  const back = overflow.up(overflow.down(state));
  expect(back['customer']).toEqual(state['customer']);
  expect(new Set(back['subscription'])).toEqual(new Set([first, second]));
});

test('a definition that cannot work is refused by name', () => {
  const definition = make('block').definition;
  const refused = (change: object, what: RegExp) =>
    expect(() => defineMigration({ ...definition, ...change } as typeof definition)).toThrow(
      expect.objectContaining({ code: 'GW1006', message: expect.stringMatching(what) }),
    );
  refused({ name: 'Bad Name' }, /the name must be/);
  refused({ to: { subscription: to.subscription } }, /exactly one new table/);
  refused({ key: 'email' }, /has no property email/);
  refused({ inverse: { policy: 'overflow', column: 'email', choose: () => ({}) } }, /nullable json column/);
  refused({ to: { ...to, customer: pgTable('customers', to.customer.columns) } }, /name of the old table/);
});

test('old and new tables in two kinds of database are refused', () => {
  const { definition } = make('block');
  const elsewhere = mongoCollection('customers_v2', to.customer.columns);
  expect(() =>
    defineMigration({ ...definition, to: { ...to, customer: elsewhere } } as unknown as typeof definition),
  ).toThrow(expect.objectContaining({ code: 'GW1006', message: expect.stringMatching(/in mongodb, .* in postgres/) }));
});

test('up that leaves out what a table needs is an error, not a null', () => {
  const definition = make('block').definition;
  const broken = defineMigration({
    ...definition,
    up: () => ({ customer: { customerId: 7n } as { customerId: bigint; email: string }, subscription: [] }),
  });
  expect(() => broken.up(OLD)).toThrow(expect.objectContaining({ code: 'GW5006' }));
});
