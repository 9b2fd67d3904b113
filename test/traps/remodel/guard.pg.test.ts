/** Trap 16: somebody takes away what would notice a write past the library, or what remembers a change. */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { answerOf, godwit, makeCustomers, poolOf, refusalOf, statusOf } from '../../e2e/remodel/world.ts';
import { type PostgresServer, startPostgres } from '../../servers/postgres.ts';

let server: PostgresServer;
let db: string;
let pool: pg.Pool;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

async function inWorld(work: () => Promise<void>): Promise<void> {
  db = await server.createDatabase();
  pool = poolOf(db, 4);
  try {
    await makeCustomers(db, 50);
    await answerOf(db, ['create', '--samples', '5']);
    await answerOf(db, ['ramp', '100%']);
    await work();
  } finally {
    await pool.end();
  }
}

const guardGate = async () =>
  (await statusOf(db)).next?.gates.find(({ name }) => name === 'the guard catches writes past the library')?.holds;
const isFound = async () => {
  const { code, out } = await godwit(db, ['doctor', '--json']);
  const { findings } = JSON.parse(out) as { findings: readonly { check: string; severity: string }[] };
  const found = findings.some(({ check, severity }) => check === 'guard' && severity === 'error');
  expect(code).toBe(found ? 6 : 0);
  return found;
};

const GUARD = '"godwit-guard-subs"';
test.each([
  ['its trigger is dropped', `drop trigger ${GUARD} on customers`],
  ['its trigger is disabled', `alter table customers disable trigger ${GUARD}`],
  ['its trigger is not that of replicas too', `alter table customers enable trigger ${GUARD}`],
  [
    'its function does nothing',
    `do $do$ declare f regprocedure; begin
       select tgfoid::regprocedure into f from pg_trigger where tgname = 'godwit-guard-subs';
       execute format('create or replace function %s returns trigger language plpgsql as $$ begin return new; end $$', f);
     end $do$`,
  ],
  [
    'what it writes goes nowhere',
    `create function nothing() returns trigger language plpgsql as $$ begin return null; end $$;
     create trigger nothing before insert on godwit.dirty for each row execute function nothing()`,
  ],
])('the guard is red at the next look when %s', async (_, sql) => {
  await inWorld(async () => {
    expect(await guardGate()).toBe(true);
    expect(await isFound()).toBe(false);
    await pool.query(sql);
    expect(await guardGate()).toBe(false);
    expect(await isFound()).toBe(true);
    expect(await refusalOf(db, ['seal'])).toBe('GW6003');
    expect((await statusOf(db)).phase).toBe('dual');
  });
});

test('changes that wait for the old table and are thrown away are found by the proof', async () => {
  await inWorld(async () => {
    await answerOf(db, ['seal']);
    expect(await answerOf(db, ['backfill', '--throttle', 'off'])).toMatchObject({ ok: true });
    // As a write through the library leaves it, with nobody there yet who would carry it.
    await pool.query(`update customers_v2 set email = 'changed' where customer_id = 7;
      insert into godwit.outbox (remodel, identity) values ('subs', '7')`);
    expect((await statusOf(db)).backlog).toMatchObject({ pending: 1 });
    await pool.query('truncate godwit.outbox');
    const proof = await answerOf(db, ['verify', '--by-value'], 6);
    expect(proof.verify?.[0]).toMatchObject({ different: 1, pending: 0 });
    expect(JSON.stringify(proof.verify)).toContain('"7"');
    expect((await statusOf(db)).phase).toBe('backfilling');
  });
});
