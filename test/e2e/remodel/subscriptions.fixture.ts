/** The case of the document: a customer with one embedded subscription becomes a customer and a list. */
import {
  bigint,
  defineMigration,
  json,
  numeric,
  pgTable,
  type Row,
  text,
  timestamp,
  uuid,
} from '../../../src/kernel/remodel/index.ts';

const old = {
  customerId: bigint(),
  email: text(),
  subPlan: text().nullable(),
  subAmount: numeric().nullable(),
  subStarted: timestamp().nullable(),
};

const to = {
  customer: pgTable('customers_v2', { customerId: bigint(), email: text() }),
  subscription: pgTable(
    'subscriptions',
    {
      id: uuid(),
      customerId: bigint(),
      plan: text().nullable(),
      amount: numeric().nullable(),
      started: timestamp().nullable(),
    },
    { many: true },
  ),
};

/** The one the old table shows: the oldest, by its id where they are equal. */
const oldest = (rows: readonly Row[]): Row =>
  rows.reduce((a, b) => (`${a['started']} ${a['id']}` <= `${b['started']} ${b['id']}` ? a : b));

/** Keeps in a column of the old table what that has no room for. */
export const subs = defineMigration({
  name: 'subs',
  key: 'customerId',
  from: pgTable('customers', { ...old, subRest: json().nullable() }),
  to,
  up: ({ customerId, email, subPlan: plan, subAmount: amount, subStarted: started }) => ({
    customer: { customerId, email },
    subscription: plan === null && amount === null && started === null ? [] : [{ customerId, plan, amount, started }],
  }),
  down: ({ customer, subscription: [shown] }) => ({
    ...customer,
    subPlan: shown?.plan ?? null,
    subAmount: shown?.amount ?? null,
    subStarted: shown?.started ?? null,
    subRest: null,
  }),
  inverse: { policy: 'overflow', choose: oldest, column: 'subRest' },
});

/** Loses on the way back what the old table has no room for. */
export const picky = defineMigration({
  name: 'picky',
  key: 'customerId',
  from: pgTable('customers', old),
  to,
  up: ({ customerId, email, subPlan: plan, subAmount: amount, subStarted: started }) => ({
    customer: { customerId, email },
    subscription: plan === null && amount === null && started === null ? [] : [{ customerId, plan, amount, started }],
  }),
  down: ({ customer, subscription: [shown] }) => ({
    ...customer,
    subPlan: shown?.plan ?? null,
    subAmount: shown?.amount ?? null,
    subStarted: shown?.started ?? null,
  }),
  inverse: { policy: 'pick', choose: oldest },
});
