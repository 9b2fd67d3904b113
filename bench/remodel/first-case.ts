/** The first case, as every part of the benchmark uses it: customers with at most one embedded subscription. */
import pg from 'pg';
import { type PgTransaction, PostgresRemodelStore } from '../../src/adapters/postgres/index.ts';
import { definitionHash } from '../../src/kernel/remodel/index.ts';
import {
  bigint,
  createGodwit,
  defineMigration,
  type Godwit,
  integer,
  pgTable,
  postgresStore,
  text,
  uuid,
} from '../../src/remodel.ts';

const UP = {
  customer: 'select customer_id, email, name from old',
  subscription: 'select customer_id, plan, amount from old where plan is not null',
};

/** `sql`: with the fast lane. */
export const firstCase = (name: string, sql: boolean) =>
  defineMigration({
    name,
    key: 'customerId',
    from: pgTable('customers', {
      customerId: bigint(),
      email: text(),
      name: text(),
      plan: text().nullable(),
      amount: integer().nullable(),
    }),
    to: {
      customer: pgTable('customers_v2', { customerId: bigint(), email: text(), name: text() }),
      subscription: pgTable(
        'subscriptions',
        { id: uuid(), customerId: bigint(), plan: text(), amount: integer() },
        { many: true },
      ),
    },
    up: ({ customerId, email, name: called, plan, amount }) => ({
      customer: { customerId, email, name: called },
      subscription: plan === null ? [] : [{ customerId, plan, amount: amount ?? 0 }],
    }),
    down: ({ customer, subscription: [sub] }) => ({
      ...customer,
      plan: sub?.plan ?? null,
      amount: sub?.amount ?? null,
    }),
    inverse: { policy: 'pick', choose: (rows) => rows[0] as (typeof rows)[0] },
    ...(sql ? { sql: { up: UP } } : {}),
  });

export type FirstCase = ReturnType<typeof firstCase>;

export function openPool(uri: string, max = 10): pg.Pool {
  const pool = new pg.Pool({ connectionString: uri, max });
  // The server is stopped at the end, connections or not.
  pool.on('error', () => undefined);
  return pool;
}

/** Fills the old table; nothing of the new model exists. */
export async function fillCustomers(pool: pg.Pool, customers: number): Promise<void> {
  await pool.query(`create table customers (
    customer_id bigint primary key, email text not null, name text not null, plan text, amount integer)`);
  await pool.query(
    `insert into customers
     select i, 'customer' || i || '@example.com', 'Customer number ' || i,
            case when i % 3 > 0 then 'plan ' || i % 7 end, case when i % 3 > 0 then i % 100 end
       from generate_series(1, $1::bigint) i`,
    [customers],
  );
  await pool.query('vacuum analyze customers');
}

/** The store with the remodel at a ramp of 100 %. */
export async function openDual(pool: pg.Pool, model: FirstCase): Promise<PostgresRemodelStore> {
  const store = new PostgresRemodelStore({ pool });
  await store.create(model, definitionHash(model));
  await store.change(model, 1, { phase: 'dual', ramp: 10_000 }, 'benchmark', {});
  return store;
}

export function openLibrary(pool: pg.Pool, model: FirstCase, relay: boolean): Promise<Godwit<PgTransaction>> {
  return createGodwit({ store: postgresStore({ pool }), migrations: [model], relay });
}

/** Identities `1` to `count`, in portions. */
export function* portions(count: number, size: number): Generator<string[]> {
  for (let from = 1; from <= count; from += size)
    yield Array.from({ length: Math.min(size, count - from + 1) }, (_, i) => String(from + i));
}
