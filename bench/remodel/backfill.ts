/** How fast history is adopted, beside the plain INSERT … SELECT of the same rows into both new tables. */
import { startPostgres } from '../../test/servers/index.ts';
import { cell, note, table, type Verdict } from '../lib/print.ts';
import { fillCustomers, firstCase, openDual, openPool, portions } from './first-case.ts';

export interface BackfillOptions {
  readonly rows: number;
}

const PORTION = 2_000;
const LANES = 3;
/** Connections of the plain copy: more or fewer were not faster here. */
const PLAIN_CONNECTIONS = 2;

/** Every contender on a server of its own, so that none finds the other's dirty pages. */
export async function benchBackfill({ rows }: BackfillOptions): Promise<{ verdicts: Verdict[] }> {
  const plain = await plainCopy(rows);
  note(`plain INSERT … SELECT: ${plain.toFixed(1)} s`);
  const sql = await adoption(rows, true);
  note(`SQL lane: ${sql.toFixed(1)} s`);
  const typescript = await adoption(rows, false);
  note(`TypeScript lane: ${typescript.toFixed(1)} s`);
  const line = (what: string, seconds: number) => [
    what,
    cell(seconds, 2),
    String(Math.round(rows / seconds)),
    cell(plain / seconds, 2),
  ];
  console.log(`\n${rows} old rows into both new tables, two thirds of them with a subscription\n`);
  console.log(
    table(
      ['way', 'seconds', 'rows/s', 'speed ÷ plain'],
      [
        line(`plain INSERT … SELECT, ${PLAIN_CONNECTIONS} connections`, plain),
        line('SQL lane', sql),
        line('TypeScript lane', typescript),
      ],
    ),
  );
  return {
    verdicts: [
      { what: 'SQL lane ÷ plain', value: plain / sql, atLeast: 0.8 },
      { what: 'TypeScript lane ÷ plain', value: plain / typescript, atLeast: 0.45 },
    ],
  };
}

async function plainCopy(rows: number): Promise<number> {
  await using server = await startPostgres();
  const pool = openPool(server.uri);
  await fillCustomers(pool, rows);
  await pool.query(
    'create table customers_v2 (customer_id bigint primary key, email text not null, name text not null)',
  );
  await pool.query(`create table subscriptions (
    id uuid primary key, customer_id bigint not null, plan text not null, amount integer not null)`);
  await pool.query('create index on subscriptions (customer_id)');
  const begin = performance.now();
  // In portions: a bulk copy that a careful person would write.
  const size = 50_000;
  const starts = Array.from({ length: Math.ceil(rows / size) }, (_, i) => 1 + i * size);
  const worker = async (): Promise<void> => {
    for (let from = starts.shift(); from !== undefined; from = starts.shift()) {
      const range = [from, from + size - 1];
      await pool.query(
        'insert into customers_v2 select customer_id, email, name from customers where customer_id between $1 and $2',
        range,
      );
      await pool.query(
        `insert into subscriptions select gen_random_uuid(), customer_id, plan, amount from customers
          where customer_id between $1 and $2 and plan is not null`,
        range,
      );
    }
  };
  await Promise.all(Array.from({ length: PLAIN_CONNECTIONS }, worker));
  const seconds = (performance.now() - begin) / 1000;
  await pool.end();
  return seconds;
}

async function adoption(rows: number, bySql: boolean): Promise<number> {
  await using server = await startPostgres();
  const pool = openPool(server.uri);
  await fillCustomers(pool, rows);
  const model = firstCase('backfill', bySql);
  const store = await openDual(pool, model);
  const begin = performance.now();
  const queue = portions(rows, PORTION);
  const lane = async (): Promise<number> => {
    let adopted = 0;
    for (const identities of queue) adopted += (await store.adopt(model, identities)).adopted;
    return adopted;
  };
  const adopted = (await Promise.all(Array.from({ length: LANES }, lane))).reduce((a, b) => a + b, 0);
  const seconds = (performance.now() - begin) / 1000;
  if (adopted !== rows) throw new Error(`${adopted} of ${rows} were adopted`);
  await pool.end();
  return seconds;
}
