import pg from 'pg';
import { translate } from '../errors.ts';
import { type Executor, onPg } from './executor.ts';

/** Runs statements on a connection of its own, outside a transaction. */
export async function onConnection<T>(pool: pg.Pool, doing: string, work: (exec: Executor) => Promise<T>): Promise<T> {
  let client: pg.PoolClient | undefined;
  try {
    client = await pool.connect();
    return await work(onPg(client));
  } catch (error) {
    throw translate(error, doing);
  } finally {
    client?.release();
  }
}

/** Runs `work` in one READ COMMITTED transaction: all of it is durable when it returns, none when it throws. */
export async function inTransaction<T>(pool: pg.Pool, doing: string, work: (exec: Executor) => Promise<T>): Promise<T> {
  let client: pg.PoolClient | undefined;
  let broken: Error | undefined;
  try {
    client = await pool.connect();
    const exec = onPg(client);
    await exec.query('begin isolation level read committed');
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
    client?.release(broken);
  }
}

/** A pool of our own, for the commands and for applications that give only an address. */
export function makePool(connectionString: string, max = 10): pg.Pool {
  const pool = new pg.Pool({ connectionString, max, application_name: 'godwit' });
  // An idle connection that the server ended is replaced when it is wanted next; without a listener it would end the process.
  pool.on('error', () => undefined);
  return pool;
}
