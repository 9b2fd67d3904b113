import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import { bigint, defineMigration, definitionHash, pgTable, text } from '../../../kernel/remodel/index.ts';
import { PostgresRemodelStore } from './store.ts';

const ROWS = 2000;
const model = defineMigration({
  name: 'measured',
  key: 'id',
  from: pgTable('people', { id: bigint(), name: text() }),
  to: { person: pgTable('persons', { id: bigint(), name: text() }) },
  up: (old) => ({ person: old }),
  down: ({ person }) => person,
  inverse: { policy: 'block' },
});

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

test('measuring beside a backfill leaves out rows that it adopts meanwhile, and leaves nothing behind', async () => {
  const pool = new pg.Pool({ connectionString: await server.createDatabase(), max: 6 });
  pool.on('error', () => undefined);
  const store = new PostgresRemodelStore({ pool });
  try {
    await pool.query('create table people (id bigint primary key, name text not null)');
    await pool.query(`insert into people select n, 'p' || n from generate_series(1, ${ROWS}) n`);
    await store.create(model, definitionHash(model));
    const { epoch } = (await store.control(model)) ?? { epoch: 0 };
    await store.change(model, epoch, { phase: 'backfilling', ramp: 10_000 }, 'phase', {});
    const measuring = store.measure(model, ROWS);
    for (let first = 1; first <= ROWS; first += 50)
      await store.adopt(
        model,
        Array.from({ length: 50 }, (_, n) => String(first + n)),
      );
    const impact = await measuring;
    expect(impact.samples).toBeLessThan(ROWS);
    const { rows } = await pool.query(
      'select (select count(*) from godwit.dirty)::int + (select count(*) from people)::int as n',
    );
    expect(rows[0].n).toBe(ROWS);
  } finally {
    await store.close();
    await pool.end();
  }
});
