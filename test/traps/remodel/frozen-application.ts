/** A process of an application that does what its parent asks, and can be stopped in the middle of it. */
import pg from 'pg';
import { createGodwit, postgresStore } from '../../../src/routes/remodel/library/index.ts';
import { subs } from '../../e2e/remodel/subscriptions.fixture.ts';

/** `begin` leaves its transaction open until `commit`. */
export type Asked =
  | { readonly kind: 'begin' | 'write'; readonly id: number; readonly email: string }
  | { readonly kind: 'commit' };

const pool = new pg.Pool({ connectionString: process.env['DB'] as string });
const godwit = await createGodwit({ store: postgresStore({ pool }), migrations: [subs] });
let open: pg.PoolClient | undefined;

async function answer(asked: Asked): Promise<void> {
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
}

process.on('message', (asked: Asked) => {
  answer(asked).then(
    () => process.send?.('done'),
    (error: unknown) => process.send?.(String(error)),
  );
});
process.on('disconnect', () => process.exit());
process.send?.('ready');
