/** A small application under load, and the command line that moves its table meanwhile. */
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import type { RemodelResult, RemodelStatus } from '../../../src/routes/remodel/api.ts';
import { createGodwit, type Godwit, postgresStore } from '../../../src/routes/remodel/library/index.ts';
import { oldRowOf, SELECT_OLD } from './old-row.ts';
import { runRemodel, type Said } from './run-remodel.ts';
import { subs } from './subscriptions.fixture.ts';

export const DEFINITION = fileURLToPath(new URL('subscriptions.fixture.ts', import.meta.url));

/** Runs `godwit remodel …` in this process. */
export function godwit(db: string, words: readonly string[], signal?: AbortSignal): Promise<Said> {
  const env = { GODWIT_DB: db, GODWIT_DEFINITION: DEFINITION, GODWIT_REMODEL: 'subs', GODWIT_MIN_SHADOW: '20' };
  return runRemodel(words, env, signal);
}

/** The same with `--json`: its one answer. Throws what it said when it failed, unless `may` is its exit code. */
export async function answerOf(db: string, words: readonly string[], may = 0): Promise<RemodelResult> {
  const { code, out, err } = await godwit(db, [...words, '--json']);
  if (code !== may) throw new Error(`godwit remodel ${words.join(' ')}: ${code} ${out}${err}`);
  return JSON.parse(out) as RemodelResult;
}

export async function statusOf(db: string): Promise<RemodelStatus> {
  return (await answerOf(db, ['status'])) as unknown as RemodelStatus;
}

/** Code of the error that a command ended with. */
export async function refusalOf(db: string, words: readonly string[]): Promise<string> {
  const { code, out } = await godwit(db, [...words, '--json']);
  if (code === 0) throw new Error(`godwit remodel ${words.join(' ')} was not refused: ${out}`);
  const answer = JSON.parse(out) as { error?: { code: string }; ok?: boolean };
  return answer.error?.code ?? `ok: ${answer.ok}`;
}

export async function makeCustomers(db: string, rows: number): Promise<void> {
  const client = new pg.Client(db);
  await client.connect();
  try {
    await client.query(`create table customers (customer_id bigint primary key, email text not null, sub_plan text,
      sub_amount numeric(12,2), sub_started timestamptz, sub_rest jsonb)`);
    await client.query(
      `insert into customers select n, 'user' || n || '@example.com',
         case when n % 3 > 0 then 'plan' || n % 5 end, case when n % 3 > 0 then n % 100 + 0.50 end,
         case when n % 3 > 0 then timestamptz '2026-01-01' + n * interval '1 second' end
       from generate_series(1, $1::int) n`,
      [rows],
    );
  } finally {
    await client.end();
  }
}

/** A pool that the server may outlive or not: a test that is over does not care. */
export function poolOf(db: string, max: number): pg.Pool {
  const pool = new pg.Pool({ connectionString: db, max });
  pool.on('error', () => undefined);
  return pool;
}

interface Person {
  readonly email: string;
  /** Plans, in order. */
  readonly plans: readonly string[];
}

/** What the application believes of one customer, undefined when deleted. */
type Beliefs = Map<number, Person | undefined>;

/**
 * An application with some workers, each with customers of its own, which it
 * writes and reads through the library, and remembers.
 */
export class Application {
  readonly beliefs: Beliefs = new Map();
  /** What was read and was not what had been written before. */
  readonly stale: string[] = [];
  writes = 0;
  reads = 0;
  readonly #godwit: Godwit<pg.PoolClient>;
  readonly #pool: pg.Pool;
  #stopped = false;
  readonly #workers: Promise<void>[];
  readonly #most: number;

  private constructor(godwitOf: Godwit<pg.PoolClient>, pool: pg.Pool, ids: number, most: number) {
    this.#godwit = godwitOf;
    this.#pool = pool;
    this.#most = most;
    this.#workers = [0, 1].map((worker) => this.#work(worker, ids));
    for (const worker of this.#workers) worker.catch(() => undefined);
  }

  /** `most`: subscriptions of a customer. */
  static async start(db: string, ids: number, most = 3): Promise<Application> {
    const pool = poolOf(db, 8);
    const godwitOf = await createGodwit({ store: postgresStore({ pool }), migrations: [subs] });
    return new Application(godwitOf, pool, ids, most);
  }

  /** Ends the workers, then the library. Throws what a request failed with. */
  async stop(): Promise<void> {
    this.#stopped = true;
    try {
      await Promise.all(this.#workers);
    } finally {
      await this.#godwit.close();
      await this.#pool.end();
    }
  }

  async #work(worker: number, ids: number): Promise<void> {
    let turn = worker;
    while (!this.#stopped) {
      turn += 1;
      // Some customers are never touched: those are the backfill's. Some come into being.
      const id = ((turn * 7) % ids) * 2 + worker + 1;
      if (id % 5 === 0) continue;
      await this.#write(id, turn);
      await this.#read(id);
    }
  }

  async #write(id: number, turn: number): Promise<void> {
    const before = this.beliefs.get(id) ?? (await this.#see(id));
    const plans = before?.plans ?? [];
    const client = await this.#pool.connect();
    try {
      await client.query('begin');
      const after = await this.#godwit.write(subs, id, client, async (m) => {
        if (before === undefined) {
          await m.create({ email: `new${turn}` });
          return { email: `new${turn}`, plans: [] };
        }
        if (turn % 11 === 0) {
          await m.delete();
          return undefined;
        }
        if (plans.length < this.#most && turn % 3 !== 0) {
          await m.subscription.insert({ plan: `p${turn}`, amount: '1.50', started: '2026-05-01T00:00:00Z' });
          return { email: before.email, plans: [...plans, `p${turn}`].sort() };
        }
        if (plans.length > 0 && turn % 2 === 0) {
          const [first] = await m.subscription.list();
          await m.subscription.delete(first?.id as string);
          return { email: before.email, plans: without(plans, first?.plan as string) };
        }
        await m.customer.set({ email: `mail${turn}` });
        return { email: `mail${turn}`, plans };
      });
      await client.query('commit');
      this.beliefs.set(id, after);
      this.writes += 1;
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  }

  async #read(id: number): Promise<void> {
    const seen = await this.#see(id);
    this.reads += 1;
    const [is, should] = [JSON.stringify(seen), JSON.stringify(this.beliefs.get(id))];
    if (is !== should) this.stale.push(`${id}: read ${is}, written ${should}`);
  }

  /** A customer as the application shows it. The old model shows one subscription, so that only its email counts there. */
  #see(id: number): Promise<Person | undefined> {
    return this.#godwit.read(subs, id, {
      old: async (row) => {
        const found = row === undefined ? await this.#oldRow(id) : row;
        if (found === null || found === undefined) return undefined;
        return personOf(subs.up(found));
      },
      new: async () => {
        const { rows } = await this.#pool.query(
          `select c.email, coalesce(json_agg(s.plan order by s.plan) filter (where s.id is not null), '[]') as plans
             from customers_v2 c left join subscriptions s using (customer_id) where c.customer_id = $1 group by c.email`,
          [id],
        );
        return rows[0] && { email: rows[0].email, plans: rows[0].plans };
      },
    });
  }

  async #oldRow(id: number) {
    const { rows } = await this.#pool.query(`${SELECT_OLD} where customer_id = $1`, [id]);
    return rows[0] && oldRowOf(rows[0]);
  }
}

function personOf(state: ReturnType<typeof subs.up>): Person {
  const plans = (state['subscription'] ?? []).map((row) => String(row['plan'])).sort();
  return { email: String(state['customer']?.[0]?.['email']), plans };
}

function without(plans: readonly string[], plan: string): readonly string[] {
  return plans.toSpliced(plans.indexOf(plan), 1);
}

/** Whole new tables as people, read in one statement. */
export async function peopleIn(db: string, table: 'new' | 'old'): Promise<Map<number, Person>> {
  const client = new pg.Client(db);
  await client.connect();
  try {
    const { rows } = await client.query(
      table === 'new'
        ? `select c.customer_id::text as id, c.email,
             coalesce(json_agg(s.plan order by s.plan) filter (where s.id is not null), '[]') as plans
             from customers_v2 c left join subscriptions s using (customer_id) group by 1, 2`
        : `select customer_id::text as id, email,
             (select coalesce(json_agg(p order by p), '[]') from (
                select sub_plan as p where sub_plan is not null
                union all select o->>'plan' from jsonb_array_elements(sub_rest->'others') o) x) as plans from customers`,
    );
    return new Map(rows.map((row) => [Number(row.id), { email: row.email, plans: row.plans }]));
  } finally {
    await client.end();
  }
}
