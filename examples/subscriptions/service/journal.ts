/** The service's own transactions: each change and its line in the journal, both or neither. */
import type { Pool, PoolClient } from 'pg';

/** Runs one change of a customer. When it gives false, there was nothing to change: nothing is written. */
export async function change(
  pool: Pool,
  id: bigint,
  what: string,
  body: (tx: PoolClient) => Promise<unknown>,
): Promise<boolean> {
  const tx = await pool.connect();
  let broken: unknown;
  try {
    await tx.query('BEGIN');
    const done = (await body(tx)) !== false;
    if (done) await tx.query('INSERT INTO journal (customer_id, what) VALUES ($1, $2)', [id, what]);
    await tx.query(done ? 'COMMIT' : 'ROLLBACK');
    return done;
  } catch (error) {
    broken = error;
    await tx.query('ROLLBACK').catch(() => {});
    throw error;
  } finally {
    // A connection that failed may be in any state: it is closed, not given to the next.
    tx.release(broken !== undefined);
  }
}

export async function nextId(pool: Pool): Promise<bigint> {
  const { rows } = await pool.query<{ id: string }>("SELECT nextval('customer_numbers') AS id");
  return BigInt((rows[0] as { id: string }).id);
}

/** The customers that something happened to last, newest first. */
export async function latest(pool: Pool, limit: number): Promise<bigint[]> {
  const { rows } = await pool.query<{ id: string }>(
    `SELECT customer_id AS id, max(no) FROM (SELECT * FROM journal ORDER BY no DESC LIMIT 10 * $1::int) last
      GROUP BY customer_id ORDER BY 2 DESC LIMIT $1`,
    [limit],
  );
  return rows.map(({ id }) => BigInt(id));
}
