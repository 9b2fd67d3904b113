/** The service: one process of it. PORT and DATABASE_URL say where. */
import pg from 'pg';
import { createGodwit, postgresStore } from '../../../src/remodel.ts';
import { serve } from '../service/serve.ts';
import { customersIn } from './customers.ts';
import { subs } from './subs.ts';

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 8 });
const godwit = await createGodwit({ store: postgresStore({ pool }), migrations: [subs] });

await serve(customersIn(pool, godwit), pool, async () => {
  await godwit.close();
  await pool.end();
});
