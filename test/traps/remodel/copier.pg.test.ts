/** Traps 1 and 7: the copier is held between its read of old rows and its write of new ones, and then somebody writes. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { defineMigration, type Model } from '../../../src/kernel/remodel/index.ts';
import {
  createSubs,
  legacyRead,
  newRead,
  type Operator,
  startOperator,
  startProcess,
} from '../../../src/routes/remodel/library/fixtures/processes.ts';
import { subsMigration } from '../../../src/routes/remodel/library/fixtures/subs.ts';
import { type PostgresServer, startPostgres } from '../../servers/postgres.ts';
import { waitFor } from '../../servers/wait-for.ts';

let server: PostgresServer;
let operator: Operator;
let copier: Operator;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  operator = await startOperator(server.uri);
  copier = await startOperator(`${server.uri}?application_name=copier`);
  // As long as this table has a row, the copier gets no further than its first insert; nobody else is held.
  await operator.pool.query(`create table gate (closed int); create function wait_at_gate() returns trigger language plpgsql as $$
    begin
      while current_setting('application_name') = 'copier' and exists (select from gate) loop perform pg_sleep(0.01); end loop;
      return null;
    end $$`);
});
afterAll(async () => {
  await operator?.close();
  await copier?.close();
  await server?.stop();
});

const count = async (condition: string): Promise<number> =>
  (await operator.pool.query(`select count(*)::int n from pg_stat_activity where ${condition}`)).rows[0].n;

const LANES = [
  ['through up, a few', 6, false],
  ['through up, many at once', 60, false],
  ['through SQL', 60, true],
] as const;

test.each(
  LANES.flatMap(([lane, customers, bySql]) =>
    (['writes', 'deletes'] as const).map((does) => ({ does, lane, customers, bySql })),
  ),
)('who $does after the copier has read wins: $lane', async ({ does, customers, bySql }) => {
  const model = subsMigration('pick', `${does}${customers}${bySql ? 'sql' : ''}`);
  const up = {
    customer: 'select customer_id, email from old',
    subscription: `select customer_id, sub_plan as plan, coalesce(sub_amount, 0) as amount, null::text as started_at,
      null::int as seats from old where sub_plan is not null`,
  };
  const copied: Model = bySql ? defineMigration({ ...model.definition, sql: { up } }) : model;
  await createSubs(operator, model, customers);
  const root = model.to['customer']?.name;
  await operator.pool.query(
    `create trigger held before insert on ${root} for each statement execute function wait_at_gate()`,
  );
  await operator.change(model, { phase: 'dual', ramp: 10_000 });
  const app = await startProcess(server.uri, [model]);
  const ids = Array.from({ length: customers }, (_, i) => String(i + 1));
  try {
    await operator.pool.query('insert into gate values (1)');
    let isHeld = true;
    const copying = copier.store.adopt(copied, ids).finally(() => {
      isHeld = false;
    });
    await waitFor(async () => (await count(`application_name = 'copier' and wait_event = 'PgSleep'`)) > 0, {
      timeoutMs: 20_000,
      what: 'the copier at the gate',
    });
    let isDone = false;
    const writing = app
      .tx((tx) =>
        app.godwit.write(model, 2, tx, async (m) => {
          if (does === 'deletes') await m.delete();
          else await m.customer.set({ email: 'v2' });
        }),
      )
      .finally(() => {
        isDone = true;
      });
    await waitFor(async () => isDone || (await count(`wait_event_type = 'Lock'`)) > 0, {
      timeoutMs: 20_000,
      what: 'the writer to be done, or to wait for the copier',
    });
    expect(isHeld, 'the trap was there').toBe(true);
    await operator.pool.query('delete from gate');
    await Promise.all([copying, writing]);

    const email = does === 'deletes' ? undefined : 'v2';
    expect((await newRead(app.pool, model, 2))?.email).toBe(email);
    // The copier comes again, with what it may have kept in its list.
    await copier.store.adopt(copied, ids);
    await waitFor(async () => (await operator.store.backlog(model)).pending === 0, {
      timeoutMs: 20_000,
      what: 'the drain',
    });
    for (const read of [newRead, legacyRead]) expect((await read(app.pool, model, 2))?.email).toBe(email);
    const { signal } = new AbortController();
    expect(await operator.store.verify(model, { byValue: true, signal })).toMatchObject({
      identities: customers,
      missing: 0,
      extra: 0,
      different: 0,
    });
  } finally {
    await operator.pool.query('delete from gate');
    await app.close();
  }
});
