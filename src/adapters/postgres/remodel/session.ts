import pg from 'pg';
import { translate } from '../errors.ts';
import { type Executor, onPg } from './executor.ts';

/**
 * A connection of the pool. One that is lost while it is held fails the
 * statement that needs it; but it also emits an error, to which a pool listens
 * only on idle connections, and which would end the process. So we listen.
 */
export async function take(pool: pg.Pool): Promise<pg.PoolClient> {
  const client = await pool.connect();
  client.on('error', seenByItsStatement);
  return client;
}

/** Gives back what {@link take} gave; `broken` closes it instead. */
export function giveBack(client: pg.PoolClient, broken?: Error): void {
  client.off('error', seenByItsStatement);
  client.release(broken);
}

function seenByItsStatement(): void {}

/** Runs statements on a connection of its own, outside a transaction. */
export async function onConnection<T>(pool: pg.Pool, doing: string, work: (exec: Executor) => Promise<T>): Promise<T> {
  let client: pg.PoolClient | undefined;
  try {
    client = await take(pool);
    return await work(onPg(client));
  } catch (error) {
    throw translate(error, doing);
  } finally {
    if (client) giveBack(client);
  }
}

export interface TransactionOptions {
  /** Statements after BEGIN, such as `set local …`. */
  readonly settings?: string;
  /** Whether the server may keep plans with the connection; see `PostgresStoreOptions.prepare`. Default: no. */
  readonly prepare?: boolean;
}

/**
 * A transaction of ours holds locks of identities that applications wait for, and bars ways back. A process that stands
 * still in the middle of one, as a machine that was suspended does, loses it.
 */
export const IDLE_LIMIT = `set local idle_in_transaction_session_timeout = '10s'`;

/** Runs `work` in one READ COMMITTED transaction: all of it is durable when it returns, none when it throws. */
export async function inTransaction<T>(
  pool: pg.Pool,
  doing: string,
  work: (exec: Executor) => Promise<T>,
  { settings = '', prepare = false }: TransactionOptions = {},
): Promise<T> {
  let client: pg.PoolClient | undefined;
  let broken: Error | undefined;
  try {
    client = await take(pool);
    const exec = onPg(client, prepare);
    await client.query(`begin isolation level read committed; ${IDLE_LIMIT}; ${settings}`);
    try {
      const result = await work(exec);
      await exec.query('commit');
      return result;
    } catch (error) {
      // A connection that cannot even roll back is not given back to the pool.
      await exec.query('rollback').catch((failure: unknown) => {
        broken = failure as Error;
      });
      throw error;
    }
  } catch (error) {
    throw translate(error, doing);
  } finally {
    if (client) giveBack(client, broken);
  }
}

/** A pool of our own, for the commands and for applications that give only an address. */
export function makePool(connectionString: string, max = 10): pg.Pool {
  const pool = new pg.Pool({ connectionString, max, application_name: 'godwit' });
  // An idle connection that the server ended is replaced when it is wanted next; without a listener it would end the process.
  pool.on('error', () => undefined);
  return pool;
}
