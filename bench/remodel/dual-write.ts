/** What a write through the library costs beside the plain single write, taken in turns on the same connections. */
import type pg from 'pg';
import { startPostgres } from '../../test/servers/index.ts';
import { cell, table, type Verdict } from '../lib/print.ts';
import { median, percentile } from '../lib/statistics.ts';
import { fillCustomers, firstCase, openDual, openLibrary, openPool, portions } from './first-case.ts';

export interface DualWriteOptions {
  readonly customers: number;
  readonly rounds: number;
  readonly clients: number;
  /** Writes of each kind, client and round. */
  readonly writes: number;
}

interface Round {
  readonly plain: number[];
  readonly dual: number[];
  /** Both tables written at once, in one transaction: what the library's way is to be cheaper than. */
  readonly both: number[];
}

/** Each transaction is BEGIN, the write, COMMIT, with the disk waited for. */
export async function benchDualWrite(options: DualWriteOptions): Promise<{ verdicts: Verdict[] }> {
  const { customers, rounds, clients, writes } = options;
  await using server = await startPostgres();
  const pool = openPool(server.uri, clients + 6);
  await fillCustomers(pool, customers);
  const model = firstCase('dual', false);
  const store = await openDual(pool, model);
  for (const portion of portions(customers, 1000)) await store.adopt(model, portion);
  await pool.query('create table plain as select * from customers');
  await pool.query('alter table plain add primary key (customer_id)');
  await pool.query('create table plain_v2 as select * from customers_v2');
  await pool.query('alter table plain_v2 add primary key (customer_id)');
  await pool.query('vacuum analyze');
  const library = await openLibrary(pool, model, true);

  const write = {
    plain: (tx: pg.PoolClient, id: number, email: string) =>
      tx.query('update plain set email = $2 where customer_id = $1', [id, email]),
    dual: (tx: pg.PoolClient, id: number, email: string) =>
      library.write(model, id, tx, (m) => m.customer.set({ email })),
    both: async (tx: pg.PoolClient, id: number, email: string) => {
      await tx.query('update plain_v2 set email = $2 where customer_id = $1', [id, email]);
      await tx.query('update plain set email = $2 where customer_id = $1', [id, email]);
    },
  };
  const kinds = Object.keys(write) as (keyof Round)[];
  const done: Round[] = [];
  // The first round warms caches and plans, and does not count.
  for (let n = 0; n <= rounds; n += 1) {
    const round: Round = { plain: [], dual: [], both: [] };
    const client = async (first: number) => {
      const tx = await pool.connect();
      for (let i = 0; i < writes * kinds.length; i += 1) {
        const kind = kinds[(i + first) % kinds.length] as keyof Round;
        const id = 1 + Math.floor(Math.random() * customers);
        const begin = performance.now();
        await tx.query('begin');
        await write[kind](tx, id, `${i}.${id}@example.com`);
        await tx.query('commit');
        round[kind].push(performance.now() - begin);
      }
      tx.release();
    };
    await Promise.all(Array.from({ length: clients }, (_, i) => client(i)));
    if (n > 0) done.push(round);
  }
  const of = (kind: keyof Round, p: number) => median(done.map((round) => percentile(round[kind], p)));
  const ratio = (kind: keyof Round, p: number) =>
    median(done.map((round) => percentile(round[kind], p) / percentile(round.plain, p)));
  console.log(`\nOne write a transaction, ${clients} clients, medians of ${rounds} rounds of ${writes * clients}\n`);
  console.log(
    table(
      ['write', 'p50 ms', 'p99 ms', '÷ plain p50', '÷ plain p99'],
      kinds.map((kind) => [
        { plain: 'plain single write', dual: 'through the library', both: 'old and new in one transaction' }[kind],
        cell(of(kind, 0.5), 3),
        cell(of(kind, 0.99), 2),
        cell(ratio(kind, 0.5), 2),
        cell(ratio(kind, 0.99), 2),
      ]),
    ),
  );
  await library.close();
  await pool.end();
  return {
    verdicts: [
      { what: 'dual write p50 ÷ plain p50', value: ratio('dual', 0.5), atMost: 1.2 },
      { what: 'dual write p99 ÷ plain p99', value: ratio('dual', 0.99), atMost: 1.3 },
    ],
  };
}
