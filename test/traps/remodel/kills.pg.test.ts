/** Trap 6 on PostgreSQL. */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { PostgresRemodelStore } from '../../../src/adapters/postgres/index.ts';
import { definitionHash } from '../../../src/kernel/remodel/index.ts';
import { poolOf } from '../../e2e/remodel/world.ts';
import { type PostgresServer, startPostgres } from '../../servers/postgres.ts';
import { CUSTOMERS, killEverywhere } from './kill-everywhere.ts';
import { pgSubs } from './killed.fixture.ts';

let server: PostgresServer;
let pool: pg.Pool;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  pool = poolOf(server.uri, 4);
});
afterAll(async () => {
  await pool?.end();
  await server?.stop();
});

test('a process killed at any round trip from the begin of a write to the end of its relay leaves nothing half done', async () => {
  await pool.query(`create table customers (customer_id bigint primary key, email text not null, plan text);
    insert into customers select unnest(array[${CUSTOMERS}]), 'first', 'first'`);
  const store = new PostgresRemodelStore({ pool });
  await store.create(pgSubs, definitionHash(pgSubs));
  await store.change(pgSubs, 1, { phase: 'dual', ramp: 10_000 }, 'test', {});
  const one = async (text: string, id: number) => {
    const { rows } = await pool.query<[string, string]>({ text, values: [id], rowMode: 'array' });
    expect(rows.length).toBeLessThan(2);
    return rows[0];
  };
  await killEverywhere({ KILLED_STORE: 'postgres', KILLED_URI: server.uri }, store, pgSubs, {
    old: (id) => one('select email, plan from customers where customer_id = $1', id),
    fresh: (id) =>
      one(
        'select email, plan from customers_v2 full join subscriptions using (customer_id) where customer_id = $1',
        id,
      ),
  });
});
