/** What could lose or bend data though every single step is right. */
import type pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import type { Model, Row } from '../../../kernel/remodel/index.ts';
import { PostgresRemodelAdmin } from './admin.ts';
import { MODELS, makeWorld, type World } from './fixtures/subs.ts';
import { PostgresRemodelStore } from './store.ts';

const never = new AbortController().signal;
let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

async function inWorld(options: Parameters<typeof makeWorld>[1], work: (world: World) => Promise<void>): Promise<void> {
  const world = await makeWorld(server, options);
  try {
    await work(world);
  } finally {
    await world.pool.end();
  }
}

/** A transaction of somebody else, open until the work is done. */
async function whileOpen(world: World, statement: string, work: (raw: pg.PoolClient) => Promise<void>): Promise<void> {
  const raw = await world.pool.connect();
  try {
    await raw.query('begin');
    await raw.query(statement);
    await work(raw);
    await raw.query('commit');
  } finally {
    raw.release();
  }
}

test('out of quarantine: an old row that could not be adopted is not taken for deleted', () =>
  inWorld({}, async (world) => {
    const { store, model, pool } = world;
    await pool.query(`alter table subscriptions add constraint short check (length(plan) < 6)`);
    await pool.query(`update customers set plan = 'far too long' where customer_id = 28`);
    expect(await store.adopt(model, ['28'])).toEqual({ adopted: 0, quarantined: 1 });
    await new PostgresRemodelAdmin(pool).retryQuarantine(model);
    await world.drain();
    expect(await world.old(28)).toMatchObject({ plan: 'far too long' });
  }));

test('an identity in quarantine is still read as it is in the new model', () =>
  inWorld({}, async (world) => {
    const { store, model, pool } = world;
    await pool.query(`alter table customers add constraint no_z check (email not like 'z%')`);
    await world.inTx((tx) => world.setEmail(tx, 2, 'z@x'));
    expect(await store.relay(model, 10)).toMatchObject({ applied: 0, quarantined: 1 });
    expect((await store.pendingState(model, undefined, '2'))?.['customer']).toMatchObject([{ email: 'z@x' }]);
    await pool.query('alter table customers drop constraint no_z');
    await world.inTx((tx) => world.setEmail(tx, 2, 'zz@x'));
    expect(await store.relay(model, 10)).toMatchObject({ applied: 1, quarantined: 0 });
    expect(await store.backlog(model)).toMatchObject({ quarantined: 0, pending: 0 });
    expect(await store.pendingState(model, undefined, '2')).toBeUndefined();
  }));

test('release gives back only what the old table took', () =>
  inWorld({}, async (world) => {
    const { store, model, pool } = world;
    await pool.query(`alter table customers add constraint no_z check (email not like 'z%')`);
    await store.adopt(model, ['2', '4', '6']);
    await world.inTx((tx) => world.setEmail(tx, 2, 'z@x'));
    await world.inTx((tx) => world.setEmail(tx, 4, 'y@x'));
    await world.change({ ramp: 0 });
    let released = 0;
    for (let n = await store.release(model, 10); n > 0; n = await store.release(model, 10)) released += n;
    expect(released).toBe(2);
    expect(await store.release(model, 10)).toBe(-1);
    expect(await world.old(4)).toMatchObject({ email: 'y@x' });
    expect(await store.backlog(model)).toMatchObject({ owned: 1, quarantined: 1 });
    expect((await pool.query('select email from customers_v2')).rows).toEqual([{ email: 'z@x' }]);
  }));

test('release keeps what `down` cannot bring back', () => {
  const model: Model = {
    ...MODELS.pick,
    down: (state) => {
      if (state['customer']?.[0]?.['customerId'] === 2) throw new TypeError('secret');
      return MODELS.pick.down(state);
    },
  };
  return inWorld({ model }, async (world) => {
    const { store, pool } = world;
    await store.adopt(model, ['2', '4']);
    await world.inTx((tx) => world.setEmail(tx, 2, 'late@x'));
    await world.change({ ramp: 0 });
    expect(await store.release(model, 10)).toBe(1);
    expect((await pool.query('select email from customers_v2')).rows).toEqual([{ email: 'late@x' }]);
    const { rows } = await pool.query('select identity, reason from godwit.quarantine');
    expect(rows).toEqual([{ identity: '2', reason: expect.not.stringContaining('secret') }]);
  });
});

test('a row inserted past the library after the backfill is adopted, not forgotten', () =>
  inWorld({ phase: 'reads' }, async (world) => {
    await world.pool.query(`insert into customers (customer_id, email, plan) values (200, 'raw@x', 'tea')`);
    await world.drain();
    expect((await world.pool.query('select email from customers_v2 where customer_id = 200')).rows).toEqual([
      { email: 'raw@x' },
    ]);
    expect(await world.plans(200)).toEqual(['tea']);
  }));

test('columns that the model does not know stop no change, though a new row would need them', () =>
  inWorld(
    {
      ddl: `create table customers (customer_id int primary key, email text not null, plan text, rest jsonb, note text);`,
    },
    async (world) => {
      const { store, model, pool } = world;
      await pool.query(`update customers set note = 'kept'`);
      await pool.query('alter table customers alter note set not null');
      await world.drain();
      await world.inTx((tx) => world.setEmail(tx, 2, 'a@x'));
      expect(await store.relay(model, 10)).toMatchObject({ applied: 1, quarantined: 0 });
      expect(await world.old(2)).toMatchObject({ email: 'a@x', note: 'kept' });
      await world.inTx(async (tx) =>
        (await store.enter(model, tx, '300')).adopt({
          customer: [{ customerId: 300, email: 'n@x' }],
          subscription: [],
        }),
      );
      expect(await store.relay(model, 10)).toMatchObject({ applied: 0, quarantined: 1 });
    },
  ));

test('a trigger of the old table that writes other rows is a write past the library', () =>
  inWorld({}, async (world) => {
    const { store, model, pool } = world;
    await store.adopt(model, ['2', '4']);
    await pool.query(`create function refer() returns trigger language plpgsql as $$ begin
      update customers set plan = 'bonus' where customer_id = 4; return null; end $$`);
    await pool.query(`create trigger refer after update on customers for each row
      when (new.customer_id = 2) execute function refer()`);
    await world.inTx((tx) => world.setEmail(tx, 2, 'a@x'));
    await store.relay(model, 10);
    await world.drain();
    expect(await world.plans(4)).toEqual(['bonus']);
  }));

test('what is too long for a new column is refused, not cut off', () =>
  inWorld({ phase: 'created' }, async (world) => {
    const { model, pool } = world;
    await pool.query('alter table customers_v2 alter email type varchar(5)');
    const store = new PostgresRemodelStore({ pool });
    await world.change({ phase: 'dual', ramp: 10_000 });
    expect(await store.adopt(model, ['2'])).toEqual({ adopted: 1, quarantined: 0 });
    expect(await store.adopt(model, ['100'])).toEqual({ adopted: 0, quarantined: 1 });
    const set = world.inTx(async (tx) =>
      (await store.enter(model, tx, '2')).patchNew('customer', undefined, { email: 'longer@x' }),
    );
    await expect(set).rejects.toMatchObject({ code: 'GW5007' });
  }));

test('an index over more than columns, or checked late, does not tell rows apart', async () => {
  for (const index of [
    'create unique index on customers (customer_id, lower(email))',
    'alter table customers add unique (customer_id) deferrable initially immediate',
  ]) {
    const ddl = `create table customers (customer_id int, email text not null, plan text, rest jsonb); ${index}`;
    await expect(makeWorld(server, { ddl })).rejects.toMatchObject({ code: 'GW2006' });
  }
});

test('a long transaction on one old row holds up nobody else, neither relay nor writers', () =>
  inWorld({}, async (world) => {
    const { store, model } = world;
    await store.adopt(model, ['2', '4', '6']);
    for (const id of [2, 4, 6]) await world.inTx((tx) => world.setEmail(tx, id, 'new@x'));
    await whileOpen(world, `update customers set plan = 'raw' where customer_id = 4`, async () => {
      expect(await store.relay(model, 10)).toMatchObject({ applied: 2, quarantined: 0 });
      expect(await world.old(6)).toMatchObject({ email: 'new@x' });
      await world.inTx((tx) => world.setEmail(tx, 4, 'newer@x'));
    });
    await world.drain();
    expect(await world.old(4)).toMatchObject({ email: 'newer@x', plan: 'raw' });
    expect(await world.plans(4)).toEqual(['raw']);
    expect(await store.verify(model, { byValue: true, signal: never })).toMatchObject({ different: 0, extra: 0 });
  }));

test('identities that a long transaction holds do not hide those behind them', () =>
  inWorld({}, async (world) => {
    const { store, model } = world;
    for (const id of [2, 4, 6, 8]) await world.inTx((tx) => world.setEmail(tx, id, 'new@x'));
    await world.inTx(async (tx) => {
      for (const id of [2, 4, 6]) await store.enter(model, tx, String(id));
      expect(await store.relay(model, 2)).toMatchObject({ applied: 1 });
    });
    expect(await world.old(8)).toMatchObject({ email: 'new@x' });
  }));

test("what the old table's own trigger refuses is set aside", () =>
  inWorld({}, async (world) => {
    const { store, model, pool } = world;
    await pool.query(`create function refuse() returns trigger language plpgsql as $$ begin
      if new.email like 'z%' then raise exception 'no %', new.email; end if; return new; end $$`);
    await pool.query('create trigger refuse before update on customers for each row execute function refuse()');
    await world.inTx((tx) => world.setEmail(tx, 2, 'z@x'));
    await world.inTx((tx) => world.setEmail(tx, 4, 'y@x'));
    expect(await store.relay(model, 10)).toMatchObject({ applied: 1, quarantined: 1 });
    const { rows } = await pool.query('select reason from godwit.quarantine');
    expect(rows).toEqual([{ reason: expect.not.stringContaining('z@x') }]);
  }));

test('errors do not tell values of rows', () =>
  inWorld({}, async (world) => {
    const { pool, store, model } = world;
    await pool.query(`alter table customers_v2 add constraint short check (length(email) < 20)`);
    const patch = world.inTx(async (tx) => {
      await world.setEmail(tx, 2, 'secret-of-a-customer@example.com');
    });
    await expect(patch).rejects.toMatchObject({ code: 'GW5007', message: expect.stringContaining('short') });
    await expect(patch).rejects.toMatchObject({ message: expect.not.stringContaining('secret') });
    const wrong = world.inTx(async (tx) =>
      (await store.enter(model, tx, '4')).patchNew('subscription', 'secret', { plan: 'x' }),
    );
    await expect(wrong).rejects.toMatchObject({ message: expect.not.stringContaining('secret') });
  }));

test('create lets others pass while a long transaction holds the old table', () =>
  inWorld({ phase: 'created' }, async (world) => {
    const { store, model, pool } = world;
    await store.drop(model);
    await whileOpen(world, `update customers set plan = 'x' where customer_id = 1`, async (raw) => {
      let isCreated = false;
      const creating = store.create(model, 'hash').then(() => {
        isCreated = true;
      });
      const waits = `select from pg_locks where not granted and relation = 'customers'::regclass`;
      while ((await pool.query(waits)).rowCount === 0);
      // Queues behind the trigger, which steps back for it.
      await pool.query(`update customers set plan = 'y' where customer_id = 2`);
      expect(isCreated).toBe(false);
      await raw.query('commit');
      await creating;
    });
    expect(await store.guardWorks(model)).toBe(true);
  }));

test('drop takes away only what create made; a remodel of the same name goes on in its history', () =>
  inWorld({ phase: 'created' }, async (world) => {
    const { store, model, pool } = world;
    await store.drop(model);
    expect((await pool.query(`select to_regclass('customers_v2') as t`)).rows).toEqual([{ t: null }]);
    await pool.query('create table customers_v2 (customer_id int primary key, email text not null)');
    await store.create(model, 'hash');
    expect((await store.control(model))?.epoch).toBe(2);
    await store.drop(model);
    const left = await pool.query(`select to_regclass('customers_v2') as mine, to_regclass('subscriptions') as made`);
    expect(left.rows).toEqual([{ mine: 'customers_v2', made: null }]);
  }));

test('a write past the library between reading an old row and adopting it is merged', () =>
  inWorld({}, async (world) => {
    const { store, model, pool } = world;
    await world.inTx(async (tx) => {
      const entered = await store.enter(model, tx, '2');
      const old = await entered.readOld();
      await pool.query(`update customers set plan = 'raw' where customer_id = 2`);
      await entered.adopt(model.up(old as Row));
      await entered.patchNew('customer', undefined, { email: 'app@x' });
    });
    await world.drain();
    expect(await world.plans(2)).toEqual(['raw']);
    expect(await world.old(2)).toMatchObject({ email: 'app@x', plan: 'raw' });
  }));

test('an old row that the library is about to write as a whole cannot change in between', () =>
  inWorld({ phase: 'created' }, async (world) => {
    const { store, model, pool } = world;
    let raw: Promise<unknown> | undefined;
    await world.inTx(async (tx) => {
      const entered = await store.enter(model, tx, '2');
      const old = (await entered.readOld()) as Row;
      raw = pool.query(`update customers set plan = 'raw' where customer_id = 2`);
      while ((await pool.query(`select from pg_stat_activity where wait_event_type = 'Lock'`)).rowCount === 0);
      await entered.putOld({ ...old, email: 'app@x' });
    });
    await raw;
    expect(await world.old(2)).toMatchObject({ email: 'app@x', plan: 'raw' });
  }));

test('a write outside of a transaction is refused: its lock would be gone at once', () =>
  inWorld({}, async ({ store, model, pool }) => {
    await expect(store.enter(model, pool, '2')).rejects.toMatchObject({ code: 'GW1001' });
    const client = await pool.connect();
    try {
      await expect(store.enter(model, client, '2')).rejects.toMatchObject({ code: 'GW1001' });
      // Not waited for: the driver keeps the order.
      const begun = client.query('begin');
      await expect(store.enter(model, client, '2')).resolves.toMatchObject({ owner: 'adopt' });
      await begun;
      await client.query('rollback');
    } finally {
      client.release();
    }
  }));

test('in the trap the library asks nobody but the new tables', () =>
  inWorld({ phase: 'new-only' }, async (world) => {
    const { store, model } = world;
    await store.adopt(model, ['2']);
    await store.trap(model, 'refuse');
    await world.change({ phase: 'trapped' });
    await world.inTx(async (tx) => {
      const entered = await store.enter(model, tx, '400');
      expect(entered.owner).toBe('deleted');
      await entered.adopt({ customer: [{ customerId: 400, email: 'n@x' }], subscription: [] });
    });
    expect(await store.backlog(model)).toMatchObject({ owned: 2 });
    expect(await store.trapHits(model)).toEqual([]);
  }));

test('after the end of the old table the library still writes', () =>
  inWorld({}, async (world) => {
    const { store, model, pool } = world;
    await store.adopt(model, ['2']);
    await pool.query('drop table customers');
    await world.change({ phase: 'retired' });
    for (const each of [store, new PostgresRemodelStore({ pool })]) {
      await world.inTx(async (tx) => {
        const entered = await each.enter(model, tx, '2');
        expect(entered.owner).toBe('new');
        await entered.patchNew('customer', undefined, { email: 'after@x' });
        const made = await each.enter(model, tx, each === store ? '500' : '501');
        expect(made.owner).toBe('deleted');
        await made.adopt({ customer: [{ customerId: each === store ? 500 : 501, email: 'n@x' }], subscription: [] });
      });
    }
    expect(await pool.query('select from godwit.outbox')).toMatchObject({ rowCount: 0 });
    await world.inTx(async (tx) => (await store.enter(model, tx, '2')).deleteNew());
    expect(await pool.query('select from godwit.tombstone')).toMatchObject({ rowCount: 0 });
    expect(await world.inTx(async (tx) => (await store.enter(model, tx, '2')).owner)).toBe('deleted');
  }));
