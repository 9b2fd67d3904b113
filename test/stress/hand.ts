/** Somebody with the keys to the database: writes through the library, and behind everybody's back. */
import type pg from 'pg';
import type { Draft, Godwit } from '../../src/remodel.ts';
import { subs } from '../e2e/remodel/subscriptions.fixture.ts';
import { answerOf } from '../e2e/remodel/world.ts';
import { waitFor } from '../servers/wait-for.ts';

export class Hand {
  readonly #db: string;
  readonly #pool: pg.Pool;
  readonly #godwit: Godwit<pg.PoolClient>;

  constructor(db: string, pool: pg.Pool, godwit: Godwit<pg.PoolClient>) {
    this.#db = db;
    this.#pool = pool;
    this.#godwit = godwit;
  }

  /** On the new tables nobody watches. */
  async raw(text: string, values: readonly unknown[]): Promise<void> {
    const { rowCount } = await this.#pool.query(text, [...values]);
    if (rowCount !== 1) throw new Error(`Meant for one row, but found ${rowCount}: ${text}`);
  }

  /** On the old table, where the guard would note it: with its trigger off, which only this transaction sees. */
  async pastGuard(text: string, values: readonly unknown[]): Promise<void> {
    const client = await this.#pool.connect();
    try {
      await client.query('begin');
      await client.query('alter table customers disable trigger "godwit-guard-subs"');
      const { rowCount } = await client.query(text, [...values]);
      if (rowCount !== 1) throw new Error(`Meant for one row, but found ${rowCount}: ${text}`);
      await client.query('alter table customers enable always trigger "godwit-guard-subs"');
      await client.query('commit');
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
  }

  /** Through the library, and waits until the old table has it. `then` runs in the same transaction, after the write. */
  async write(
    id: number,
    work: (m: Draft<typeof subs>) => unknown,
    then?: (client: pg.PoolClient) => Promise<unknown>,
  ): Promise<void> {
    const client = await this.#pool.connect();
    try {
      await client.query('begin');
      await this.#godwit.write(subs, id, client, work);
      await then?.(client);
      await client.query('commit');
    } catch (error) {
      await client.query('rollback');
      throw error;
    } finally {
      client.release();
    }
    await waitFor(async () => !(await this.#waits(id)), {
      timeoutMs: 60_000,
      what: `the relay of ${id}`,
      intervalMs: 10,
    });
  }

  /** A write without a change: the relay makes the old row anew. */
  touch(id: number): Promise<void> {
    return this.write(id, () => undefined);
  }

  /** The product's way to bring what is missing. */
  async backfill(): Promise<void> {
    const { backfill, ok } = await answerOf(this.#db, ['backfill', '--throttle', 'off']);
    if (!ok || backfill?.adopted !== 1) throw new Error(`The backfill brought ${backfill?.adopted}, not 1`);
  }

  /** The old row, to be put back later. */
  async imageOf(id: number): Promise<unknown> {
    const { rows } = await this.#pool.query(
      'select to_jsonb(c)::text as image from customers c where customer_id = $1',
      [id],
    );
    if (rows.length !== 1) throw new Error(`There is no old row of ${id}`);
    return rows[0].image;
  }

  async #waits(id: number): Promise<boolean> {
    const { rows } = await this.#pool.query(
      `select 1 from godwit.outbox where remodel = 'subs' and identity = $1
       union all select 1 from godwit.quarantine where remodel = 'subs' and identity = $1`,
      [String(id)],
    );
    return rows.length > 0;
  }
}
