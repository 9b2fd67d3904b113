import pg from 'pg';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import { waitFor } from '../../../../test/servers/wait-for.ts';
import { makeWorld, type World } from './fixtures/subs.ts';
import type { TrapHit } from './trap-hits.ts';

let server: PostgresServer;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

/** Trapped: everything adopted, nothing written to the old table any more. */
async function inTrap(mode: 'record' | 'refuse', work: (world: World) => Promise<void>): Promise<void> {
  const world = await makeWorld(server);
  try {
    await world.store.adopt(
      world.model,
      Array.from({ length: 100 }, (_, i) => String(i + 1)),
    );
    await world.change({ phase: 'new-only' });
    await world.store.trap(world.model, mode);
    await world.change({ phase: 'trapped' });
    await work(world);
  } finally {
    await world.pool.end();
  }
}

async function withReader<T>(world: World, name: string, work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client({ connectionString: world.uri, application_name: name });
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const hits = ({ store, model }: World): Promise<readonly TrapHit[]> => store.trapHits(model);

test('a monthly job that still reads is named, with what it asked but no values', () =>
  inTrap('record', async (world) => {
    expect(await hits(world)).toEqual([]);
    const { rows } = await withReader(world, 'monthly-report', (client) =>
      client.query("select customer_id, note from customers where email = 'c7@x' and customer_id < 8.5"),
    );
    expect(rows).toEqual([{ customer_id: 7, note: 'kept' }]);
    const [hit, ...more] = await hits(world);
    expect(more).toEqual([]);
    expect(hit?.who).toMatch(/^postgres monthly-report 127\.0\.0\.1$/);
    expect(hit?.query).toBe('select customer_id, note from customers where email = ? and customer_id < ?');
    expect(Math.abs(Date.parse(hit?.at as string) - Date.now())).toBeLessThan(60_000);
  }));

test('a busy reader fills nothing; another query of it is another hit', () =>
  inTrap('record', async (world) => {
    await withReader(world, 'busy', async (client) => {
      for (let n = 0; n < 20; n += 1) await client.query('select count(*) from customers');
      await client.query('select 1 from customers limit 1');
    });
    expect(await hits(world)).toHaveLength(2);
  }));

test('recording makes no read fail: read-only, serializable, prepared, joined, locked, by an index', () =>
  inTrap('record', async (world) => {
    await withReader(world, 'shy', async (client) => {
      await client.query('begin transaction read only');
      expect((await client.query('select count(*)::int as n from customers')).rows[0].n).toBe(100);
      await client.query('commit');
      await client.query('begin isolation level serializable');
      await client.query('select * from customers c join customers d using (customer_id) where customer_id = 3');
      await client.query('commit');
      await client.query('prepare p as select note from customers where customer_id = $1');
      expect((await client.query('execute p(4)')).rows).toEqual([{ note: 'kept' }]);
      await client.query('begin; select * from customers where customer_id = 5 for update; commit');
      await client.query('set enable_seqscan = off');
      const plan = await client.query('explain select * from customers where customer_id = 5');
      expect(JSON.stringify(plan.rows)).toContain('Index');
      // Even when nothing can be written down.
      await world.pool.query('alter table godwit.trap_hit rename to away');
      expect((await client.query('select count(*)::int as n from customers')).rows[0].n).toBe(100);
      await world.pool.query('alter table godwit.away rename to trap_hit');
    });
    // The read-only one has no name, but it is not lost, and counts once.
    const isThere = async () => (await hits(world)).some(({ who }) => who.includes('read-only'));
    await waitFor(isThere, { timeoutMs: 20_000, what: 'the count of the read-only read' });
    expect((await hits(world)).filter(({ who }) => who.includes('read-only'))).toEqual([
      expect.objectContaining({ who: expect.stringMatching(/^1 reads/) }),
    ]);
    expect(server.log).toMatch(/the retired table was read by postgres shy/);
  }));

test('refuse: reads fail and are counted though they are rolled back; writes fail in both modes', () =>
  inTrap('refuse', async (world) => {
    await withReader(world, 'old-deploy', async (client) => {
      await expect(client.query('select * from customers where customer_id = 1')).rejects.toMatchObject({
        code: 'GW004',
      });
      await expect(client.query('select count(*) from customers')).rejects.toMatchObject({ code: 'GW004' });
      await client.query('begin transaction read only');
      await expect(client.query('select 1 from customers')).rejects.toMatchObject({ code: 'GW004' });
      await client.query('rollback');
    });
    const [refused] = await hits(world);
    expect(refused).toMatchObject({ who: '2 refused reads' });
    expect(Math.abs(Date.parse(refused?.at as string) - Date.now())).toBeLessThan(60_000);

    await world.store.trap(world.model, 'record');
    for (const write of [
      "insert into customers (customer_id, email) values (500, 'x')",
      "update customers set email = 'x' where customer_id = 1",
      'delete from customers where customer_id = 1',
    ])
      await expect(world.pool.query(write)).rejects.toMatchObject({ code: 'GW005' });
    await world.store.untrap(world.model);
    expect((await world.pool.query("select 1 from customers where email = 'x'")).rows).toEqual([]);
  }));

test('readers keep their privileges, and no others', () =>
  inTrap('record', async (world) => {
    await world.store.untrap(world.model);
    await world.pool.query(`drop role if exists reader; create role reader login password 'r';
      grant select (customer_id, email) on customers to reader`);
    await world.store.trap(world.model, 'record');
    const uri = new URL(world.uri);
    uri.username = 'reader';
    uri.password = 'r';
    const client = new pg.Client(uri.href);
    await client.connect();
    try {
      expect((await client.query('select email from customers where customer_id = 2')).rows).toEqual([
        { email: 'c2@x' },
      ]);
      await expect(client.query('select note from customers')).rejects.toMatchObject({ code: '42501' });
      await expect(client.query('select * from godwit_retired_customers')).rejects.toMatchObject({ code: '42501' });
    } finally {
      await client.end();
    }
    expect((await hits(world))[0]?.who).toMatch(/^reader/);
  }));

test('a view or a foreign key would go on using the table: the trap is refused and names it', () =>
  inTrap('record', async (world) => {
    await world.store.untrap(world.model);
    await world.pool.query('create view report as select email from customers');
    await world.pool.query('create table notes (of int references customers)');
    await expect(world.store.trap(world.model, 'record')).rejects.toMatchObject({
      code: 'GW2006',
      details: { dependents: ['foreign key notes_of_fkey of notes', 'view report'] },
    });
    expect((await world.pool.query(`select relkind from pg_class where relname = 'customers'`)).rows).toEqual([
      { relkind: 'r' },
    ]);
  }));

test('there and back: repeated, in the wrong phase, and the library goes on', () =>
  inTrap('record', async (world) => {
    const { store, model, pool } = world;
    await store.trap(model, 'record');
    expect((await store.verify(model, { byValue: true, signal: new AbortController().signal })).identities).toBe(100);
    expect(await store.guardWorks(model)).toBe(true);
    await expect(store.retire({ ...model, name: 'other' })).rejects.toMatchObject({ code: 'GW1004' });
    await store.untrap(model);
    await store.untrap(model);
    expect((await pool.query('select count(*)::int as n from customers')).rows).toEqual([{ n: 100 }]);
    await expect(store.retire(model)).rejects.toMatchObject({ code: 'GW1004' });
    await world.change({ phase: 'reads' });
    await expect(store.trap(model, 'record')).rejects.toMatchObject({ code: 'GW1004' });
    await world.inTx((tx) => world.setEmail(tx, 2, 'later@x'));
    await world.drain();
    expect(await world.old(2)).toMatchObject({ email: 'later@x' });
  }));

test('retired: the old table and the queue are gone, what was recorded is not, writes go on', () =>
  inTrap('record', async (world) => {
    const { store, model, pool } = world;
    await withReader(world, 'last', (client) => client.query('select 1 from customers'));
    await world.inTx((tx) => world.setEmail(tx, 2, 'a@x'));
    await world.change({ phase: 'retired' });
    await store.retire(model);
    await store.retire(model);
    const { rows } = await pool.query(
      `select to_regclass('customers') as a, to_regclass('godwit_retired_customers') as b,
              (select count(*)::int from godwit.outbox) as c, (select count(*)::int from customers_v2) as d`,
    );
    expect(rows).toEqual([{ a: null, b: null, c: 0, d: 100 }]);
    expect(await hits(world)).toHaveLength(1);
    expect(await world.inTx((tx) => world.setEmail(tx, 2, 'b@x'))).toBe('new');
    expect((await pool.query('select email from customers_v2 where customer_id = 2')).rows).toEqual([{ email: 'b@x' }]);
    expect((await pool.query('select count(*)::int as n from godwit.outbox')).rows).toEqual([{ n: 0 }]);
  }));

test('a long transaction on the table makes the trap give up, not everybody wait', () =>
  inTrap('record', async (world) => {
    await world.store.untrap(world.model);
    await withReader(world, 'long', async (client) => {
      await client.query('begin; select 1 from customers limit 1');
      await expect(world.store.trap(world.model, 'record')).rejects.toMatchObject({ code: 'GW3003' });
      await client.query('commit');
    });
    await world.store.trap(world.model, 'record');
  }));
