/** Customers with one embedded subscription, alike in PostgreSQL and MongoDB. */
import { bigint, defineMigration, mongoCollection, pgTable, text, uuid } from '../../../src/kernel/remodel/index.ts';

export const pgSubs = defineMigration({
  name: 'subs',
  key: 'customerId',
  from: pgTable('customers', { customerId: bigint(), email: text(), plan: text().nullable() }),
  to: {
    customer: pgTable('customers_v2', { customerId: bigint(), email: text() }),
    subscription: pgTable('subscriptions', { id: uuid(), customerId: bigint(), plan: text() }, { many: true }),
  },
  up: ({ customerId, email, plan }) => ({
    customer: { customerId, email },
    subscription: plan === null ? [] : [{ customerId, plan }],
  }),
  down: ({ customer, subscription: [sub] }) => ({ ...customer, plan: sub?.plan ?? null }),
  inverse: { policy: 'block' },
});

export const mongoSubs = defineMigration({
  name: 'subs',
  key: 'customerId',
  from: mongoCollection('customers', {
    customerId: bigint().named('_id'),
    email: text(),
    plan: text().nullable().named('subscription.plan'),
  }),
  to: {
    customer: mongoCollection('customers_v2', { customerId: bigint().named('_id'), email: text() }),
    subscription: mongoCollection(
      'subscriptions',
      { id: uuid().named('_id'), customerId: bigint(), plan: text() },
      { many: true },
    ),
  },
  up: ({ customerId, email, plan }) => ({
    customer: { customerId, email },
    subscription: plan === null ? [] : [{ customerId, plan }],
  }),
  down: ({ customer, subscription: [sub] }) => ({ ...customer, plan: sub?.plan ?? null }),
  inverse: { policy: 'block' },
});
