/** The service: one process of it. PORT and DATABASE_URL say where. */
import pg from 'pg';
import { serve } from '../service/serve.ts';
import { customersIn } from './customers.ts';

const pool = new pg.Pool({ connectionString: process.env['DATABASE_URL'], max: 8 });

await serve(customersIn(pool), pool, async () => {
  await pool.end();
});
