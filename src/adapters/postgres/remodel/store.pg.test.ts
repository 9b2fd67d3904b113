import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import {
  type Control,
  type ControlChange,
  defineMigration,
  integer,
  json,
  type Model,
  pgTable,
  type Row,
  text,
  uuid,
} from '../../../kernel/remodel/index.ts';
import { PostgresRemodelStore } from './store.ts';

const never = new AbortController().signal;
const definition = {
  name: 'subs',
  key: 'customerId',
  from: pgTable('customers', {
    customerId: integer(),
    email: text(),
    plan: text().nullable(),
    rest: json().nullable(),
  }),
  to: {
    customer: pgTable('customers_v2', { customerId: integer(), email: text() }),
    subscription: pgTable('subscriptions', { id: uuid(), customerId: integer(), plan: text() }, { many: true }),
  },
  up: ({ customerId, email, plan }: { customerId: number; email: string; plan: string | null }) => ({
    customer: { customerId, email },
    subscription: plan === null ? [] : [{ customerId, plan }],
  }),
  down: (n: { customer: { customerId: number; email: string }; subscription: readonly { plan: string }[] }) => ({
    ...n.customer,
    plan: n.subscription[0]?.plan ?? null,
    rest: null,
  }),
} as const;
const model: Model = defineMigration({ ...definition, inverse: { policy: 'pick', choose: (rows) => rows[0] as Row } });

let server: PostgresServer;
let pool: pg.Pool;
let store: PostgresRemodelStore;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());
beforeEach(async () => {
  pool = new pg.Pool({ connectionString: await server.createDatabase() });
  pool.on('error', () => undefined);
  store = new PostgresRemodelStore({ pool });
  await pool.query(`create table customers (customer_id int primary key, email text not null, plan text, rest jsonb,
    note text not null default 'kept')`);
  await pool.query(
    `insert into customers select i, 'c' || i || '@x', case when i % 2 = 0 then 'gold' end from generate_series(1, 100) i`,
  );
  await store.create(model, 'hash');
  return () => void pool.end();
});

async function change(to: ControlChange): Promise<Control> {
  const { epoch } = (await store.control(model)) as Control;
  return store.change(model, epoch, to, 'test', {});
}

async function inTx<T>(work: (tx: pg.PoolClient) => Promise<T>): Promise<T> {
  const tx = await pool.connect();
  try {
    await tx.query('begin');
    const result = await work(tx);
    await tx.query('commit');
    return result;
  } catch (error) {
    await tx.query('rollback');
    throw error;
  } finally {
    tx.release();
  }
}

const old = async (id: number) => (await pool.query('select * from customers where customer_id = $1', [id])).rows[0];
const subs = async (id: number) =>
  (await pool.query('select * from subscriptions where customer_id = $1 order by plan', [id])).rows;

/** As the library does it: adopt if told to, then change the e-mail. */
async function setEmail(tx: pg.PoolClient, id: number, email: string): Promise<string> {
  const entered = await store.enter(model, tx, String(id));
  if (entered.owner === 'adopt') await entered.adopt(model.up((await entered.readOld()) as Row));
  if (entered.owner === 'old') await entered.putOld({ ...((await entered.readOld()) as Row), email });
  else await entered.patchNew('customer', undefined, { email });
  return entered.owner;
}

async function drain(): Promise<void> {
  for (;;) {
    await store.settleDirty(model, 100);
    const { applied, quarantined, more } = await store.relay(model, 50);
    if (applied + quarantined === 0 && !more && (await store.backlog(model)).dirty === 0) return;
  }
}

const proof = async () => store.verify(model, { byValue: true, signal: never });

test('new first, old later: the first write adopts, the relay brings the old row up to date', async () => {
  expect(await inTx((tx) => setEmail(tx, 2, 'a@x'))).toBe('old');
  await change({ phase: 'dual', ramp: 10_000 });
  expect(await inTx((tx) => setEmail(tx, 2, 'b@x'))).toBe('adopt');
  expect((await old(2)).email).toBe('a@x');
  expect((await store.pendingState(model, undefined, '2'))?.['customer']?.[0]).toEqual({ customerId: 2, email: 'b@x' });
  expect(await inTx((tx) => setEmail(tx, 2, 'c@x'))).toBe('new');
  expect(await store.relay(model, 10)).toMatchObject({ applied: 1, quarantined: 0, more: false });
  expect(await old(2)).toMatchObject({ email: 'c@x', plan: 'gold', note: 'kept' });
  expect(await subs(2)).toHaveLength(1);
  expect(await store.pendingState(model, undefined, '2')).toBeUndefined();
  expect(await store.backlog(model)).toMatchObject({ pending: 0, owned: 1, dirty: 0, quarantined: 0, lossy: 0 });
});

test('the ramp is sticky, and what the new model owns stays its own when it goes down', async () => {
  await change({ phase: 'dual', ramp: 5_000 });
  const owners = new Map<number, string>();
  for (let id = 1; id <= 100; id += 1) owners.set(id, await inTx((tx) => setEmail(tx, id, 'x')));
  const adopted = [...owners.values()].filter((owner) => owner === 'adopt').length;
  expect(adopted).toBeGreaterThan(25);
  expect(adopted).toBeLessThan(75);
  await change({ ramp: 0 });
  for (let id = 1; id <= 100; id += 1)
    expect(await inTx((tx) => setEmail(tx, id, 'y'))).toBe(owners.get(id) === 'adopt' ? 'new' : 'old');
  await drain();
  expect((await pool.query(`select count(*)::int as n from customers where email = 'y'`)).rows[0].n).toBe(100);
});

test('a copier that read before a write cannot undo it (lost update)', async () => {
  await change({ phase: 'dual', ramp: 10_000 });
  // The writer holds the identity: the copier leaves it alone rather than wait for it with a stale row.
  await inTx(async (tx) => {
    await setEmail(tx, 4, 'writer@x');
    expect(await store.adopt(model, ['4', '5'])).toEqual({ adopted: 1, quarantined: 0 });
  });
  expect(await store.adopt(model, ['4'])).toEqual({ adopted: 0, quarantined: 0 });
  await drain();
  expect((await old(4)).email).toBe('writer@x');
  expect((await proof()).different).toBe(0);
});

test('rings may be doubled and shuffled: the newest state counts', async () => {
  await change({ phase: 'dual', ramp: 10_000 });
  for (let n = 0; n < 20; n += 1) {
    await inTx((tx) => setEmail(tx, 6, `v${n}@x`));
    const passes = await Promise.all([store.relay(model, 5, ['6']), store.relay(model, 5, ['6', '6'])]);
    // Who has the lock second may carry it again, which changes nothing and is not counted.
    expect(passes[0].applied + passes[1].applied).toBe(1);
    expect((await old(6)).email).toBe(`v${n}@x`);
  }
  await drain();
  expect((await old(6)).email).toBe('v19@x');
});

test('a transaction that commits late is not skipped', async () => {
  await change({ phase: 'dual', ramp: 10_000 });
  await inTx(async (slow) => {
    await setEmail(slow, 8, 'slow@x');
    await inTx((tx) => setEmail(tx, 10, 'fast@x'));
    expect((await store.relay(model, 10)).applied).toBe(1);
  });
  expect((await store.relay(model, 10)).applied).toBe(1);
  expect((await old(8)).email).toBe('slow@x');
});

test('whoever asks what waits while a deleted identity is made anew is never sent to the old row', async () => {
  await change({ phase: 'dual', ramp: 10_000 });
  for (const gap of [1, 2, 3]) {
    await inTx((tx) => setEmail(tx, 12, 'before@x'));
    await drain();
    await inTx(async (tx) => (await store.enter(model, tx, '12')).deleteNew());
    const asking = await pool.connect();
    let asked = 0;
    const between: pg.PoolClient = new Proxy(asking, {
      get: (client, name) =>
        name === 'query'
          ? async (config: pg.QueryConfig) => {
              const result = await client.query(config);
              asked += 1;
              if (asked === gap)
                await inTx(async (tx) => {
                  const entered = await store.enter(model, tx, '12');
                  await entered.adopt({ customer: [{ customerId: 12, email: 'anew@x' }], subscription: [] });
                });
              return result;
            }
          : Reflect.get(client, name, client),
    });
    const waits = await store.pendingState(model, between, '12');
    asking.release();
    expect(waits, `made anew after statement ${gap}`).toBeDefined();
    if (asked >= gap) expect((await store.pendingState(model, undefined, '12'))?.['customer']).toHaveLength(1);
    await drain();
  }
});

test('a deleted identity stays deleted whatever the copier does, and may be made again', async () => {
  await change({ phase: 'dual', ramp: 10_000 });
  await store.adopt(model, ['12']);
  await inTx(async (tx) => (await store.enter(model, tx, '12')).deleteNew());
  expect(await store.adopt(model, ['12'])).toEqual({ adopted: 0, quarantined: 0 });
  expect((await store.pendingState(model, undefined, '12'))?.['customer']).toEqual([]);
  await drain();
  expect(await old(12)).toBeUndefined();
  expect(await proof()).toMatchObject({ extra: 0, different: 0 });
  await inTx(async (tx) => {
    const entered = await store.enter(model, tx, '12');
    expect(entered.owner).toBe('deleted');
    await entered.adopt({ customer: [{ customerId: 12, email: 'again@x' }], subscription: [] });
  });
  await drain();
  expect((await old(12)).email).toBe('again@x');
});

test('release gives everything back, with what was on its way', async () => {
  await change({ phase: 'dual', ramp: 10_000 });
  await store.adopt(
    model,
    Array.from({ length: 100 }, (_, i) => String(i + 1)),
  );
  await inTx((tx) => setEmail(tx, 14, 'late@x'));
  await inTx(async (tx) => (await store.enter(model, tx, '16')).deleteNew());
  await change({ ramp: 0 });
  let released = 0;
  for (let n = await store.release(model, 30); n !== 0; n = await store.release(model, 30)) released += n;
  expect(released).toBe(100);
  expect((await old(14)).email).toBe('late@x');
  expect(await old(16)).toBeUndefined();
  expect(await store.backlog(model)).toMatchObject({ owned: 0, tombstones: 0, pending: 0 });
  await change({ phase: 'created' });
  await store.drop(model);
  expect(await store.control(model)).toBeUndefined();
  await pool.query(`update customers set email = 'free'`);
});

test('a write past the library is captured and merged with what the new model has become', async () => {
  await change({ phase: 'dual', ramp: 10_000 });
  await store.adopt(model, ['18', '20']);
  await inTx((tx) => setEmail(tx, 18, 'app@x'));
  await pool.query(`update customers set plan = 'tea' where customer_id in (18, 19)`);
  await pool.query('delete from customers where customer_id = 20');
  await pool.query(`insert into customers (customer_id, email) values (200, 'raw@x')`);
  expect(await store.backlog(model)).toMatchObject({ dirty: 4 });
  await drain();
  expect(await old(18)).toMatchObject({ email: 'app@x', plan: 'tea' });
  expect(await subs(18)).toMatchObject([{ plan: 'tea' }]);
  expect(await old(20)).toBeUndefined();
  expect((await pool.query('select * from customers_v2 where customer_id = 20')).rows).toEqual([]);
  expect(await proof()).toMatchObject({ extra: 0, different: 0 });
});

test('an adoption forgets the raw writes it has read, and keeps those it has not', async () => {
  await change({ phase: 'dual', ramp: 10_000 });
  await pool.query(`update customers set email = 'raw1@x' where customer_id = 22`);
  const raw = await pool.connect();
  await raw.query('begin');
  await raw.query(`update customers set plan = 'raw2' where customer_id = 24`);
  expect(await store.adopt(model, ['22', '24'])).toEqual({ adopted: 2, quarantined: 0 });
  await raw.query('commit');
  raw.release();
  await inTx((tx) => setEmail(tx, 22, 'app@x'));
  await drain();
  expect((await old(22)).email).toBe('app@x');
  expect(await subs(24)).toMatchObject([{ plan: 'raw2' }]);
});

test('guard: reject refuses, TRUNCATE is refused always, and its removal is noticed', async () => {
  expect(await store.guardWorks(model)).toBe(true);
  await change({ phase: 'dual', ramp: 10_000, guard: 'reject' });
  await expect(pool.query(`update customers set email = 'x'`)).rejects.toMatchObject({ code: 'GW002' });
  await expect(pool.query('truncate customers')).rejects.toMatchObject({ code: 'GW003' });
  expect(await inTx((tx) => setEmail(tx, 26, 'ok@x'))).toBe('adopt');
  await drain();
  expect((await old(26)).email).toBe('ok@x');
  expect(await store.guardWorks(model)).toBe(true);
  await pool.query('alter table customers disable trigger user');
  expect(await store.guardWorks(model)).toBe(false);
  await pool.query('alter table customers enable always trigger "godwit-guard-subs"');
  await pool.query('alter table customers enable always trigger "godwit-truncate-subs"');
  expect(await store.guardWorks(model)).toBe(true);
  await pool.query('drop trigger "godwit-guard-subs" on customers');
  expect(await store.guardWorks(model)).toBe(false);
});

test('what a table refuses is set aside, and holds nobody else up', async () => {
  await change({ phase: 'dual', ramp: 10_000 });
  await pool.query(`alter table subscriptions add constraint short check (length(plan) < 6)`);
  await pool.query(`update customers set plan = 'far too long' where customer_id = 28`);
  expect(await store.adopt(model, ['26', '27', '28', '29'])).toEqual({ adopted: 3, quarantined: 1 });
  expect((await pool.query('select identity, reason from godwit.quarantine')).rows).toEqual([
    { identity: '28', reason: 'SQLSTATE 23514, constraint short of subscriptions' },
  ]);
  await pool.query(`alter table customers add constraint no_z check (email not like 'z%') not valid`);
  await inTx((tx) => setEmail(tx, 26, 'z@x'));
  await inTx((tx) => setEmail(tx, 27, 'y@x'));
  expect(await store.relay(model, 10)).toMatchObject({ applied: 1, quarantined: 1 });
  expect((await old(27)).email).toBe('y@x');
  expect(await store.backlog(model)).toMatchObject({ pending: 0, quarantined: 2 });
});

test('control: one change wins, leases, and transactions older than an epoch', async () => {
  const { epoch } = (await store.control(model)) as Control;
  const both = await Promise.allSettled([
    store.change(model, epoch, { phase: 'dual' }, 'a', {}),
    store.change(model, epoch, { ramp: 5 }, 'b', {}),
  ]);
  expect(both.map(({ status }) => status).sort()).toEqual(['fulfilled', 'rejected']);
  expect(both.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'GW7007' } });
  const running = await pool.connect();
  await running.query('begin');
  await running.query('select 1');
  await change({ ramp: 10_000 });
  expect(await store.hasOlderTransactions(model)).toBe(true);
  await running.query('commit');
  running.release();
  expect(await store.hasOlderTransactions(model)).toBe(false);
  await store.lease(model, { process: 'p', host: 'h', role: 'application', epoch: 3, definition: 'hash' });
  expect(await store.leases(model)).toMatchObject([{ process: 'p', epoch: 3 }]);
  expect((await store.audit(model, 10)).map(({ event }) => event)).toContain('created');
});

test('a snapshot older than the lock is refused, not trusted', async () => {
  await change({ phase: 'dual', ramp: 10_000 });
  const tx = await pool.connect();
  await tx.query('begin isolation level repeatable read');
  await expect(store.enter(model, tx, '1')).rejects.toMatchObject({ code: 'GW1007' });
  await tx.query('rollback');
  tx.release();
});
