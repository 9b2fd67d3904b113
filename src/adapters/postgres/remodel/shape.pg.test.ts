import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import { makeWorld } from './fixtures/subs.ts';
import { shapeOf } from './shape.ts';

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

/** Each changes what a table takes or how it compares. */
const DRIFT = [
  'alter table customers add column extra int',
  'alter table customers_v2 alter email type varchar(80)',
  'alter table customers_v2 alter email type text collate "C"',
  'alter table subscriptions alter plan drop not null',
  "alter table subscriptions alter plan set default 'x'",
  'alter table customers_v2 alter customer_id set default 1',
  'create unique index on customers_v2 (lower(email))',
  'create index on subscriptions (plan)',
  'drop index subscriptions_customer_id',
  "alter table subscriptions add constraint named check (plan <> '')",
  "alter table subscriptions add constraint named check (plan <> '') not valid",
  'alter table subscriptions add foreign key (customer_id) references customers_v2',
  'drop trigger "godwit-guard-subs" on customers',
  'alter table customers disable trigger "godwit-guard-subs"',
  `create function f() returns trigger language plpgsql as 'begin return new; end';
   create trigger theirs before insert on customers_v2 for each row execute function f()`,
  'create rule r as on delete to subscriptions do instead nothing',
  'alter table customers_v2 enable row level security',
  'create policy p on customers_v2 using (true)',
  'drop table subscriptions',
];

test('every change of a table shows; rows and statistics do not', async () => {
  const { uri, pool, store, model } = await makeWorld(server);
  // One connection: what is looked at stands in the transaction that is rolled back.
  const one = new pg.Pool({ connectionString: uri, max: 1 });
  one.on('error', () => undefined);
  try {
    const before = await shapeOf(one, model);
    expect(before).toEqual([...before].sort());
    expect(before.join('\n')).toMatch(/godwit-guard-subs/);
    await store.adopt(model, ['1', '2', '3']);
    await pool.query('analyze');
    expect(await store.shape(model)).toEqual(before);
    for (const ddl of DRIFT) {
      await one.query('begin');
      await one.query(ddl);
      expect(await shapeOf(one, model), ddl).not.toEqual(before);
      await one.query('rollback');
      expect(await shapeOf(one, model), ddl).toEqual(before);
    }
  } finally {
    await one.end();
    await pool.end();
  }
});

test('behind the trap the shape is what it was', async () => {
  const { pool, store, model } = await makeWorld(server);
  try {
    // Everything that names its table: an index, a constraint, a trigger, a key of its own.
    await pool.query('create index on customers (lower(email))');
    await pool.query("alter table customers add check (email <> ''), add also bigint references customers");
    const before = await store.shape(model);
    await pool.query(`update godwit.remodel set phase = 'new-only'`);
    await store.trap(model, 'record');
    expect(await store.shape(model)).toEqual(before);
    await pool.query('alter table godwit_retired_customers add column extra int');
    expect(await store.shape(model)).not.toEqual(before);
    await pool.query('alter table godwit_retired_customers drop column extra');
    await store.untrap(model);
    expect(await store.shape(model)).toEqual(before);
  } finally {
    await pool.end();
  }
});
