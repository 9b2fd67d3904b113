/** One old row and many new ones: what the old table shows, what comes back, and whose ids they have. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import { childId, type Inverse } from '../../../kernel/remodel/index.ts';
import { MODELS, makeWorld, type World } from './fixtures/subs.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

async function inWorld(policy: Inverse['policy'], work: (world: World) => Promise<void>): Promise<void> {
  const world = await makeWorld(server, { model: MODELS[policy] });
  try {
    await work(world);
  } finally {
    await world.pool.end();
  }
}

const SECOND = '6ba7b810-9dad-41d1-80b4-00c04fd430c8';

/** A customer with a second plan, past what the old table has room for. */
async function addPlan(world: World): Promise<void> {
  const { store, model } = world;
  await store.adopt(model, ['2']);
  await world.inTx(async (tx) =>
    (await store.enter(model, tx, '2')).putNew('subscription', [{ id: SECOND, customerId: 2, plan: 'tea' }]),
  );
}

async function releaseAll({ store, model }: World): Promise<void> {
  while ((await store.release(model, 10)) > 0);
}

test('pick: the old table shows the chosen one, and the gauge counts what it cannot hold', () =>
  inWorld('pick', async (world) => {
    const { store, model } = world;
    await addPlan(world);
    expect(await store.relay(model, 10)).toMatchObject({ applied: 1, quarantined: 0 });
    expect(await world.old(2)).toMatchObject({ plan: 'tea', rest: null });
    expect(await store.backlog(model)).toMatchObject({ lossy: 1 });
    await world.inTx(async (tx) => (await store.enter(model, tx, '2')).removeNew('subscription', SECOND));
    await world.drain();
    expect(await world.old(2)).toMatchObject({ plan: 'gold' });
    expect(await store.backlog(model)).toMatchObject({ lossy: 0 });
  }));

test('overflow: all of them go to the old table and back, ids and all', () =>
  inWorld('overflow', async (world) => {
    const { store, model, pool } = world;
    await addPlan(world);
    const rows = async () => (await pool.query('select * from subscriptions order by id')).rows;
    const before = await rows();
    expect(before).toHaveLength(2);
    await world.drain();
    expect(await world.old(2)).toMatchObject({ plan: 'tea', rest: { others: [{ plan: 'gold' }] } });
    expect(await store.backlog(model)).toMatchObject({ lossy: 0 });
    await world.change({ ramp: 0 });
    await releaseAll(world);
    expect(await rows()).toEqual([]);
    expect(await store.adopt(model, ['2'])).toEqual({ adopted: 1, quarantined: 0 });
    expect(await rows()).toEqual(before);
  }));

test('block: a row too many, put there past the library, is set aside and not lost', () =>
  inWorld('block', async (world) => {
    const { store, model } = world;
    await addPlan(world);
    expect(await store.relay(model, 10)).toMatchObject({ applied: 0, quarantined: 1 });
    expect(await world.old(2)).toMatchObject({ plan: 'gold' });
    await world.change({ ramp: 0 });
    await releaseAll(world);
    expect(await world.plans(2)).toEqual(['gold', 'tea']);
    expect(await store.release(model, 10)).toBe(-1);
  }));

test('whoever copies a row first, copier or writer, there is one child with one id', () =>
  inWorld('pick', async (world) => {
    const { store, model, pool } = world;
    const ids = Array.from({ length: 50 }, (_, i) => 2 * (i + 1));
    for (const id of ids)
      await Promise.all([
        store.adopt(model, [String(id)]),
        world.inTx((tx) => world.setEmail(tx, id, 'w@x')),
        store.adopt(model, [String(id), String(id - 1)]),
      ]);
    const { rows } = await pool.query('select customer_id, id from subscriptions order by customer_id');
    expect(rows).toEqual(
      ids.map((id) => ({ customer_id: id, id: childId(model.name, 'subscription', String(id), 0) })),
    );
  }));

test('a stricter key in a new table: the second of two is set aside, none is dropped silently', () =>
  inWorld('pick', async (world) => {
    const { store, model, pool } = world;
    await pool.query('create unique index lower_email on customers_v2 (lower(email))');
    await pool.query(`update customers set email = case customer_id when 2 then 'Ann@x' else 'ann@X' end
      where customer_id in (2, 4)`);
    expect(await store.adopt(model, ['2', '4', '6'])).toEqual({ adopted: 2, quarantined: 1 });
    const { rows } = await pool.query<{ identity: string; reason: string }>(
      'select identity, reason from godwit.quarantine',
    );
    expect(rows).toEqual([
      { identity: expect.stringMatching(/^[24]$/), reason: expect.stringContaining('lower_email') },
    ]);
    expect(JSON.stringify(rows).toLowerCase()).not.toContain('ann@x');
  }));
