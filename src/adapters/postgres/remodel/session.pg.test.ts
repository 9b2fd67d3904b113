import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import { waitFor } from '../../../../test/servers/wait-for.ts';
import { inTransaction, makePool } from './session.ts';

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

test('who stands still in the middle of a transaction loses it, and with it its locks', async () => {
  const pool = makePool(await server.createDatabase(), 2);
  try {
    const isHeld = async () => {
      const { rows } = await pool.query(`select pg_try_advisory_xact_lock(1) as free`);
      return rows[0]?.free === false;
    };
    const standing = inTransaction(pool, 'Standing still', async (exec) => {
      await exec.query('select pg_advisory_xact_lock(1)::text');
      expect(await isHeld()).toBe(true);
      await waitFor(async () => !(await isHeld()), { timeoutMs: 30_000, what: 'the end of the transaction' });
      await exec.query('select 1::text');
    });
    await expect(standing).rejects.toMatchObject({ code: 'GW3001', disposition: 'retry' });
    expect(await inTransaction(pool, 'Going on', async (exec) => (await exec.query('select 1::text')).count)).toBe(1);
  } finally {
    await pool.end();
  }
});
