/** The demo's own proof: reads whole tables in one moment, with nothing of Godwit in it. */
import type pg from 'pg';
import type { Differences, Held, History, Person } from './load/history.ts';
import type { Load } from './load/load.ts';

/**
 * - `old`: the old table holds all.
 * - `new`: the new tables hold all.
 * - `owners`: each customer lies where they belong: in the new tables, or else, unless deleted there, in the old one.
 */
export type Where = 'old' | 'new' | 'owners';

const OLD = `SELECT customer_id AS id, email, name, sub_plan AS plan, sub_amount AS amount,
  (extract(epoch FROM sub_started) * 1000)::float8 AS started_ms FROM customers`;
const NEW = `SELECT customer_id AS id, email, name, plan, amount,
  (extract(epoch FROM started) * 1000)::float8 AS started_ms FROM customers_v2 LEFT JOIN subscriptions USING (customer_id)`;
const QUERIES: Readonly<Record<Where, string>> = {
  old: OLD,
  new: NEW,
  owners: `${NEW} UNION ALL ${OLD} o WHERE NOT EXISTS (SELECT FROM customers_v2 n WHERE n.customer_id = o.customer_id)
    AND NOT EXISTS (SELECT FROM godwit.tombstone t WHERE t.remodel = 'subscriptions' AND t.identity = o.customer_id::text)`,
};

interface Line {
  readonly id: string;
  readonly email: string;
  readonly name: string;
  readonly plan: string | null;
  readonly amount: number | null;
  readonly started_ms: number | null;
}

/** Compares everything with what the users were told; under load too, since a moment is all it looks at. */
export async function prove(client: pg.Client, history: History, load: Load, where: Where): Promise<Differences> {
  const floors = history.beginWhole();
  // One statement sees one moment.
  const { rows } = await client.query<Line>(QUERIES[where]);
  const seen = new Map<string, Person & { readonly subscriptions: Held[] }>();
  for (const { id, email, name, plan, amount, started_ms } of rows) {
    const person = seen.get(id) ?? { email, name, subscriptions: [] };
    seen.set(id, person);
    if (plan === null) continue;
    person.subscriptions.push({ plan, amount: amount ?? 0, started: new Date(started_ms ?? 0).toISOString() });
  }
  // Who was made in that moment has a number that their user may not have been told yet.
  await load.settled();
  return history.endWhole(floors, seen);
}
