/** A process of an application that does what its parent asks, and can be stopped in the middle of it. */
import pg from 'pg';
import { createGodwit, postgresStore } from '../../../src/routes/remodel/library/index.ts';
import { subs } from '../../e2e/remodel/subscriptions.fixture.ts';

/** `begin` leaves its transaction open until `commit`. A read is answered with the e-mail address, or `nobody`. */
export type Asked =
  | { readonly kind: 'begin' | 'write'; readonly id: number; readonly email: string }
  | { readonly kind: 'commit' }
  | { readonly kind: 'read'; readonly id: number };

const pool = new pg.Pool({ connectionString: process.env['DB'] as string });
const godwit = await createGodwit({ store: postgresStore({ pool }), migrations: [subs] });
let open: pg.PoolClient | undefined;

async function answer(asked: Asked): Promise<string> {
  if (asked.kind === 'read') return read(asked.id);
  open ??= await pool.connect();
  if (asked.kind !== 'commit') {
    await open.query('begin');
    await godwit.write(subs, asked.id, open, (m) => m.customer.set({ email: asked.email }));
  }
  if (asked.kind !== 'begin') {
    await open.query('commit');
    open.release();
    open = undefined;
  }
  return 'done';
}

function read(id: number): Promise<string> {
  const emailIn = async (table: string) =>
    (await pool.query(`select email from ${table} where customer_id = $1`, [id])).rows[0]?.email ?? 'nobody';
  return godwit.read(subs, id, {
    old: async (row) => (row === undefined ? emailIn('customers') : (row?.email ?? 'nobody')),
    new: () => emailIn('customers_v2'),
  });
}

process.on('message', (asked: Asked) => {
  answer(asked).then(
    (said) => process.send?.(said),
    (error: unknown) => process.send?.(String(error)),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
