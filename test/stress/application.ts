/** One process of an application under load: writers of their own connections, at a common rate, until told to stop. */
import { setTimeout as sleep } from 'node:timers/promises';
import pg from 'pg';
import { createGodwit, postgresStore } from '../../src/remodel.ts';
import { subs } from '../e2e/remodel/subscriptions.fixture.ts';
import { allOf } from './customers.ts';
import { type Belief, type Transact, Writer } from './writer.ts';

/** What the process is started with, as JSON in `STRESS_ORDER`. */
export interface Order {
  readonly db: string;
  readonly customers: number;
  /** This process is `index` of `processes`, from 0. */
  readonly index: number;
  readonly processes: number;
  readonly connections: number;
  /** Writes a second of this process. */
  readonly rate: number;
  readonly batch: number;
  readonly seed: number;
}

export type Asked = { readonly n: number; readonly kind: 'count' | 'stop' };

export interface Counts {
  readonly writes: number;
  readonly transactions: number;
}

export type Told =
  | { readonly kind: 'ready' }
  | ({ readonly kind: 'counts'; readonly n: number } & Counts)
  | {
      readonly kind: 'stopped';
      readonly n: number;
      readonly counts: Counts;
      readonly beliefs: readonly (readonly [number, Belief | undefined])[];
      /** Of writes of what the new model owns, without the commit. */
      readonly writeMs: { readonly p50Ms: number; readonly p99Ms: number };
      readonly transactionMs: readonly number[];
      readonly failures: readonly string[];
    };

const order = JSON.parse(process.env['STRESS_ORDER'] as string) as Order;
const pool = new pg.Pool({
  connectionString: order.db,
  max: order.connections + 2,
  // A commit is acknowledged before it is on disk: what is measured is the product, not the disk.
  options: '-c synchronous_commit=off',
});
pool.on('error', () => undefined);
const godwit = await createGodwit({ store: postgresStore({ pool }), migrations: [subs], relay: false });

const failures: string[] = [];
const transactionMs: number[] = [];
let isOver = false;

/** Times kept; enough for percentiles. */
const MOST_TIMES = 200_000;

async function transact(client: pg.PoolClient, writes: Parameters<Transact>[0]): ReturnType<Transact> {
  const began = performance.now();
  await client.query('begin');
  const looks: (Belief | undefined)[] = [];
  for (const { id, work } of writes) looks.push(await godwit.write(subs, id, client, work));
  await client.query('commit');
  if (transactionMs.length < MOST_TIMES) transactionMs.push(performance.now() - began);
  return looks;
}

const slots = order.processes * order.connections;
const own = allOf('own', order.customers);
const [shared, hot] = [allOf('shared', order.customers), allOf('hot', order.customers)];
const began = performance.now();

async function work(slot: number): Promise<Writer> {
  const client = await pool.connect();
  const writer = new Writer({
    seed: order.seed * 1000 + slot,
    customers: order.customers,
    own: own.filter((_, i) => i % slots === slot),
    shared,
    hot,
    fresh: (n) => order.customers + 1 + slot + n * slots,
    batch: order.batch,
    transact: (writes) => transact(client, writes),
  });
  writers.push(writer);
  while (!isOver) {
    const ahead = counts().writes - (order.rate * (performance.now() - began)) / 1000;
    if (ahead > 0) await sleep(Math.max(1, (ahead / order.rate) * 1000));
    try {
      await writer.once();
    } catch (error) {
      failures.push(`${(error as { code?: string }).code ?? ''} ${(error as Error).message}`);
      await client.query('rollback');
      if (failures.length > 20) isOver = true;
    }
  }
  client.release();
  return writer;
}

const writers: Writer[] = [];

function counts(): Counts {
  let [writes, transactions] = [0, 0];
  for (const writer of writers) {
    writes += writer.writes;
    transactions += writer.transactions;
  }
  return { writes, transactions };
}

const working = Promise.all(
  Array.from({ length: order.connections }, (_, i) => work(order.index * order.connections + i)),
);

function tell(told: Told): void {
  process.send?.(told);
}

async function stop(n: number): Promise<void> {
  isOver = true;
  await working;
  const { writes } = godwit.status().remodels[0] as { writes: { new: { p50Ms: number; p99Ms: number } } };
  const beliefs = writers.flatMap((writer) => writer.beliefs);
  tell({ kind: 'stopped', n, counts: counts(), beliefs, writeMs: writes.new, transactionMs, failures });
  await godwit.close();
  await pool.end();
}

process.on('message', ({ n, kind }: Asked) => {
  if (kind === 'count') tell({ kind: 'counts', n, ...counts() });
  else void stop(n);
});
process.on('disconnect', () => process.exit(0));
tell({ kind: 'ready' });
