/** The whole state of a database, read past the library. */
import pg from 'pg';
import { oldRowOf, SELECT_OLD } from '../e2e/remodel/old-row.ts';
import { subs } from '../e2e/remodel/subscriptions.fixture.ts';
import type { Look } from './person.ts';

export async function lookAtAll(db: string, where: 'old' | 'new'): Promise<ReadonlyMap<number, Look>> {
  const client = new pg.Client(db);
  await client.connect();
  try {
    return where === 'old' ? await oldLooks(client) : await newLooks(client);
  } finally {
    await client.end();
  }
}

async function oldLooks(client: pg.Client): Promise<Map<number, Look>> {
  const { rows } = await client.query(SELECT_OLD);
  const looks = new Map<number, Look>();
  for (const row of rows) {
    const state = subs.up(oldRowOf(row));
    const held = (state['subscription'] ?? []).map((sub) => [String(sub['id']), String(sub['plan'])]);
    looks.set(Number(row.customer_id), { email: row.email, subs: Object.fromEntries(held) });
  }
  return looks;
}

async function newLooks(client: pg.Client): Promise<Map<number, Look>> {
  const { rows } = await client.query(
    `select c.customer_id::text as id, c.email,
            coalesce(json_object_agg(s.id, s.plan) filter (where s.id is not null), '{}') as subs
       from customers_v2 c left join subscriptions s using (customer_id) group by c.customer_id, c.email`,
  );
  return new Map(rows.map((row) => [Number(row.id), { email: row.email, subs: row.subs }]));
}
