/** Trap 13: somebody alters a table while it is being copied. */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerOf, godwit, makeCustomers, poolOf, statusOf } from '../../e2e/remodel/world.ts';
import { type PostgresServer, startPostgres } from '../../servers/postgres.ts';
import { waitFor } from '../../servers/wait-for.ts';

let server: PostgresServer;
let db: string;
let pool: pg.Pool;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  db = await server.createDatabase();
  pool = poolOf(db, 4);
});
afterAll(async () => {
  await pool?.end();
  await server?.stop();
});

const owned = async () => Number((await pool.query('select count(*) n from customers_v2')).rows[0].n);

test('a column added in the middle of a backfill stops it with the difference, until it is undone or accepted', async () => {
  await makeCustomers(db, 2_000);
  await answerOf(db, ['create', '--samples', '5']);
  await answerOf(db, ['ramp', '100%']);
  await answerOf(db, ['seal']);
  const slowly = ['backfill', '--chunk', '10', '--lanes', '1', '--throttle', 'off', '--max-rate', '100', '--json'];
  for (const [alter, undo, line] of [
    ['alter table customers add extra text', 'alter table customers drop extra', /\+ column \S*customers\.extra/],
    ['create index plans on subscriptions (plan)', 'drop index plans', /\+ index .*\bplans\b/],
  ] as const) {
    const before = await owned();
    const running = godwit(db, slowly);
    await waitFor(async () => (await owned()) > before, { timeoutMs: 30_000, what: 'some to be adopted' });
    await pool.query(alter);
    const stopped = await running;
    expect(stopped.code).not.toBe(0);
    const { error } = JSON.parse(stopped.out);
    expect(error.code).toBe('GW6004');
    expect(error.message).toMatch(line);
    expect((await statusOf(db)).phase).toBe('backfilling');
    expect(await owned()).toBeLessThan(2_000);
    const { findings } = await answerOf(db, ['doctor'], 6);
    expect(findings).toContainEqual(expect.objectContaining({ check: 'shape', message: expect.stringMatching(line) }));
    await pool.query(undo);
  }
  await pool.query('alter table customers add extra text');
  await answerOf(db, ['doctor', '--accept-shape']);
  expect(await answerOf(db, ['backfill', '--throttle', 'off'])).toMatchObject({ ok: true });
  expect(await owned()).toBe(2_000);
});
