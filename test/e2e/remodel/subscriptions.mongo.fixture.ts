/** The case of the document in MongoDB: a subscription inside of its customer becomes a list beside. */
import {
  bigint,
  defineMigration,
  integer,
  json,
  mongoCollection,
  text,
  uuid,
} from '../../../src/kernel/remodel/index.ts';

export const subs = defineMigration({
  name: 'subs',
  key: 'customerId',
  from: mongoCollection('customers', {
    customerId: bigint().named('_id'),
    email: text(),
    plan: text().nullable().named('subscription.plan'),
    amount: integer().nullable().named('subscription.amount'),
    rest: json().nullable(),
  }),
  to: {
    customer: mongoCollection('customers_v2', { customerId: bigint().named('_id'), email: text() }),
    subscription: mongoCollection(
      'subscriptions',
      { id: uuid().named('_id'), customerId: bigint(), plan: text().nullable(), amount: integer().nullable() },
      { many: true },
    ),
  },
  up: ({ customerId, email, plan, amount }) => ({
    customer: { customerId, email },
    subscription: plan === null && amount === null ? [] : [{ customerId, plan, amount }],
  }),
  down: ({ customer, subscription: [shown] }) => ({
    ...customer,
    plan: shown?.plan ?? null,
    amount: shown?.amount ?? null,
    rest: null,
  }),
  inverse: {
    policy: 'overflow',
    choose: (rows) => rows.reduce((a, b) => (String(a['plan']) <= String(b['plan']) ? a : b)),
    column: 'rest',
  },
});
