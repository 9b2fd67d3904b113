import type { subs } from './subscriptions.fixture.ts';

/** A row of the old table as `up` takes it. */
export type OldRow = Parameters<typeof subs.definition.up>[0];

/** Every value as text, so that the driver rounds none; read by {@link oldRowOf}. */
export const SELECT_OLD = `select customer_id::text, email, sub_plan, sub_amount::text, sub_rest::text,
  to_json(sub_started at time zone 'UTC')#>>'{}' || 'Z' as started from customers`;

export function oldRowOf(row: Readonly<Record<string, string | null>>): OldRow {
  return {
    customerId: BigInt(row['customer_id'] as string),
    email: row['email'] as string,
    subPlan: row['sub_plan'] ?? null,
    subAmount: row['sub_amount'] ?? null,
    subStarted: row['started'] ?? null,
    subRest: row['sub_rest'] ?? null,
  };
}
