/** How far the old table is behind at a steady rate, seen from outside: a probe writes and looks at the old row. */
import { setTimeout as sleep } from 'node:timers/promises';
import { startPostgres } from '../../test/servers/index.ts';
import { cell, table, type Verdict } from '../lib/print.ts';
import { percentile } from '../lib/statistics.ts';
import { fillCustomers, firstCase, openDual, openLibrary, openPool, portions } from './first-case.ts';

export interface LagOptions {
  readonly customers: number;
  /** Writes a second. */
  readonly rate: number;
  readonly seconds: number;
}

const PROBE_EVERY_MS = 20;
const LOOK_EVERY_MS = 2;
const CLIENTS = 8;

export async function benchLag({ customers, rate, seconds }: LagOptions): Promise<{ verdicts: Verdict[] }> {
  await using server = await startPostgres();
  const pool = openPool(server.uri, CLIENTS + 8);
  await fillCustomers(pool, customers);
  const model = firstCase('lag', false);
  const store = await openDual(pool, model);
  for (const portion of portions(customers, 1000)) await store.adopt(model, portion);
  const library = await openLibrary(pool, model, true);
  const put = async (id: number, email: string): Promise<void> => {
    const tx = await pool.connect();
    try {
      await tx.query('begin');
      await library.write(model, id, tx, (m) => m.customer.set({ email }));
      await tx.query('commit');
    } finally {
      tx.release();
    }
  };
  const until = performance.now() + seconds * 1000;
  let written = 0;
  const began = performance.now();
  const writer = async (): Promise<void> => {
    while (performance.now() < until) {
      const due = began + (written * 1000) / rate;
      written += 1;
      if (due > performance.now()) await sleep(due - performance.now());
      await put(2 + Math.floor(Math.random() * (customers - 1)), `w${written}@example.com`);
    }
  };
  const lags: number[] = [];
  const probe = async (): Promise<void> => {
    for (let n = 0; performance.now() < until; n += 1) {
      const email = `probe${n}@example.com`;
      await put(1, email);
      const begin = performance.now();
      while ((await pool.query('select email from customers where customer_id = 1')).rows[0].email !== email)
        await sleep(LOOK_EVERY_MS);
      lags.push(performance.now() - begin);
      await sleep(PROBE_EVERY_MS);
    }
  };
  await Promise.all([probe(), ...Array.from({ length: CLIENTS }, writer)]);
  const reached = written / seconds;
  const [p50, p99, most] = [percentile(lags, 0.5), percentile(lags, 0.99), Math.max(...lags)];
  console.log(`\nLag of the old table at ${Math.round(reached)} writes/s, ${lags.length} probes\n`);
  console.log(
    table(['writes/s', 'p50 ms', 'p99 ms', 'most ms'], [[cell(reached, 0), cell(p50), cell(p99), cell(most)]]),
  );
  await library.close();
  await pool.end();
  return {
    verdicts: [
      { what: 'writes reached', value: reached, atLeast: rate * 0.95, unit: '/s' },
      { what: 'lag of the old table p99', value: p99, atMost: 250, unit: 'ms' },
    ],
  };
}
