/** The move: customers with an embedded subscription become customers, and a list of subscriptions. */
import type { PoolClient } from 'pg';
import {
  bigint,
  type Draft,
  defineMigration,
  type Godwit,
  GodwitError,
  integer,
  pgTable,
  text,
  timestamp,
  uuid,
} from '../../../src/remodel.ts';

export const subs = defineMigration({
  name: 'subscriptions',
  key: 'customerId',
  from: pgTable('customers', {
    customerId: bigint(),
    email: text(),
    name: text(),
    subPlan: text().nullable(),
    subAmount: integer().nullable(),
    subStarted: timestamp().nullable(),
  }),
  to: {
    customer: pgTable('customers_v2', { customerId: bigint(), email: text(), name: text() }),
    subscription: pgTable(
      'subscriptions',
      {
        customerId: bigint(),
        id: uuid(),
        plan: text().nullable(),
        amount: integer().nullable(),
        started: timestamp().nullable(),
      },
      { many: true },
    ),
  },
  // An old row without any of the three has no subscription. Ids are left out: Godwit derives them.
  up: ({ customerId, email, name, subPlan: plan, subAmount: amount, subStarted: started }) => ({
    customer: { customerId, email, name },
    subscription: plan === null && amount === null && started === null ? [] : [{ customerId, plan, amount, started }],
  }),
  down: ({ customer, subscription: [shown] }) => ({
    ...customer,
    subPlan: shown?.plan ?? null,
    subAmount: shown?.amount ?? null,
    subStarted: shown?.started ?? null,
  }),
  // Of several subscriptions the old table shows the oldest. As long as there are such, no way back is without loss.
  inverse: { policy: 'pick', choose: (rows) => rows.reduce((a, b) => (ageOf(a) < ageOf(b) ? a : b)) },
});

function ageOf(row: Readonly<Record<string, unknown>>): string {
  return `${row['started']} ${row['id']}`;
}

export type SubsGodwit = Godwit<PoolClient>;
export type SubsWork = (m: Draft<typeof subs>) => unknown;

/** The service's writes give false when there is nothing that they could be done to. */
export function falseIfMissing(error: unknown): false {
  if (error instanceof GodwitError && error.code === 'GW5008') return false;
  throw error;
}

/** The id of a customer's subscription to a plan; one that nothing has, where there is none. */
export async function idOf(m: Draft<typeof subs>, plan: string): Promise<string> {
  return (await m.subscription.list()).find((one) => one.plan === plan)?.id ?? '00000000-0000-0000-0000-000000000000';
}
