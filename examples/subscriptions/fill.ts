/** The database as the demo begins with it: the application's schema, and customers made from numbers. */
import { readFileSync } from 'node:fs';
import { resolve } from 'node:path';
import type pg from 'pg';
import type { History } from './load/history.ts';

const PLANS = ['room', 'drinks', 'trial', 'coupon', 'parking'] as const;
const FIRST_START_MS = 1.6e12;

/** Makes the schema and customers 1 to `customers`, of whom seven in ten have a subscription. */
export async function fill(client: pg.Client, customers: number, history: History): Promise<void> {
  await client.query(readFileSync(resolve(import.meta.dirname, 'schema.sql'), 'utf8'));
  await client.query(
    `INSERT INTO customers
     SELECT n, 'guest' || n || '@example.com', 'Guest ' || n,
            CASE WHEN n % 10 < 7 THEN ($2::text[])[1 + n % 5] END, CASE WHEN n % 10 < 7 THEN 500 + n % 10000 END,
            CASE WHEN n % 10 < 7 THEN to_timestamp($3::float8 / 1000) + n * interval '1 minute' END
       FROM generate_series(1, $1::int) n`,
    [customers, PLANS, FIRST_START_MS],
  );
  await client.query(`SELECT setval('customer_numbers', $1)`, [customers]);
  await client.query('VACUUM ANALYZE customers');
  for (let n = 1; n <= customers; n += 1) {
    const started = new Date(FIRST_START_MS + n * 60_000).toISOString();
    const held = { plan: PLANS[n % 5] as string, amount: 500 + (n % 10_000), started };
    history.know(String(n), {
      email: `guest${n}@example.com`,
      name: `Guest ${n}`,
      subscriptions: n % 10 < 7 ? [held] : [],
    });
  }
}
