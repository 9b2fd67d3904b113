/** Writes on every kind of owner, under every policy, as the tables then show them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import {
  createSubs,
  type Operator,
  type Process,
  readCustomer,
  type Subs,
  startOperator,
  startProcess,
} from './fixtures/processes.ts';
import { subsMigration } from './fixtures/subs.ts';
import type { Draft } from './types.ts';

let server: PostgresServer;
let operator: Operator;
const processes: Process[] = [];
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  operator = await startOperator(server.uri);
});
afterAll(async () => {
  for (const process of processes) await process.close();
  await operator?.close();
  await server?.stop();
});

let made = 0;
/** A remodel of its own with ten customers, and a process that does not carry old rows: tests say when. */
async function setUp(policy: 'pick' | 'block' | 'overflow', ramp: number | undefined) {
  const model = subsMigration(policy, `case${++made}`);
  await createSubs(operator, model, 10);
  if (ramp !== undefined) await operator.change(model, { phase: 'dual', ramp });
  const app = await startProcess(server.uri, [model], { relay: false });
  processes.push(app);
  const write = <R>(id: number, work: (m: Draft<Subs>) => Promise<R>) =>
    app.tx((tx) => app.godwit.write(model, id, tx, work));
  return { model, app, write };
}

async function oldRow(model: Subs, id: number) {
  const { rows } = await operator.pool.query(`SELECT * FROM ${model.from.name} WHERE customer_id = $1`, [id]);
  return rows[0] as Record<string, unknown> | undefined;
}

async function newRows(model: Subs, id: number) {
  const { rows: roots } = await operator.pool.query(
    `SELECT email FROM ${model.to.customer?.name} WHERE customer_id = $1`,
    [id],
  );
  const { rows: subs } = await operator.pool.query(
    `SELECT id, plan, amount, seats FROM ${model.to.subscription?.name} WHERE customer_id = $1 ORDER BY plan`,
    [id],
  );
  return { roots, subs };
}

/** What an application may do to a customer, ending in states that the old table can hold. */
const HISTORIES: Record<string, (m: Draft<Subs>) => Promise<unknown>> = {
  'changes the root': (m) => m.customer.set({ email: 'new@x' }),
  'changes the subscription': async (m) => {
    const [sub] = await m.subscription.list();
    if (sub !== undefined) await m.subscription.update(sub.id, { plan: 'silver', amount: '12.50' });
  },
  'ends the subscription': async (m) => {
    const [sub] = await m.subscription.list();
    if (sub !== undefined) expect(await m.subscription.delete(sub.id)).toBe(true);
  },
  'changes plans': async (m) => {
    for (const { id } of await m.subscription.list()) await m.subscription.delete(id);
    await m.subscription.insert({ plan: 'tea', amount: '3' });
  },
  'deletes the customer': (m) => m.delete(),
  'deletes and makes anew': async (m) => {
    await m.delete();
    await m.create({ email: 'again@x' });
    await m.subscription.insert({ plan: 'tea', amount: '4' });
  },
  'changes nothing': (m) => m.customer.get(),
};

describe.each(['pick', 'block', 'overflow'] as const)('policy %s', (policy) => {
  test('a write says the same in the old table, whichever model carries it out', async () => {
    const old = await setUp(policy, undefined);
    const fresh = await setUp(policy, 10_000);
    for (const work of Object.values(HISTORIES)) {
      for (const id of [1, 2]) {
        for (const { write } of [old, fresh]) await write(id, work);
        const expected = await readCustomer(old.app, old.model, id);
        expect(await readCustomer(fresh.app, fresh.model, id), 'read before it was carried').toEqual(expected);
        expect((await newRows(old.model, id)).roots, 'before the ramp the new tables are not touched').toEqual([]);
        await operator.store.relay(fresh.model, 10);
        // With overflow the old row also remembers ids, which are fresh ones in the new model.
        const shown = async (model: Subs) => ({ ...(await oldRow(model, id)), sub_rest: null });
        expect(await shown(fresh.model)).toEqual(await shown(old.model));
        if ((await oldRow(old.model, id)) === undefined)
          for (const { write } of [old, fresh]) await write(id, (m) => m.create({ email: `back${id}@x` }));
      }
    }
    const proof = await operator.store.verify(fresh.model, { byValue: true, signal: new AbortController().signal });
    expect(proof).toMatchObject({ extra: 0, different: 0 });
  });

  test('an identity that is nowhere is made on the side that the ramp says', async () => {
    for (const ramp of [0, 10_000]) {
      const { model, write, app } = await setUp(policy, ramp);
      await expect(write(77, (m) => m.subscription.insert({ plan: 'tea', amount: '1' }))).rejects.toMatchObject({
        code: 'GW5008',
      });
      await write(77, async (m) => {
        await m.create({ email: 'n@x' });
        await m.subscription.insert({ plan: 'tea', amount: '1' });
      });
      expect((await newRows(model, 77)).roots).toHaveLength(ramp === 0 ? 0 : 1);
      expect((await oldRow(model, 77)) !== undefined).toBe(ramp === 0);
      expect(await readCustomer(app, model, 77)).toEqual({ id: '77', email: 'n@x', plans: ['tea'] });
    }
  });
});

test('trap 11: what the old table cannot hold is refused, kept beside, or moved in spite of the ramp', async () => {
  const second = (m: Draft<Subs>) => m.subscription.insert({ plan: 'tea', amount: '1' });

  for (const ramp of [0, 10_000]) {
    const block = await setUp('block', ramp);
    await block.write(1, second);
    await expect(block.write(2, second)).rejects.toMatchObject({ code: 'GW5005' });
    expect(await readCustomer(block.app, block.model, 2)).toMatchObject({ plans: ['gold'] });
    await block.write(2, async (m) => {
      for (const { id } of await m.subscription.list()) await m.subscription.delete(id);
      await m.subscription.insert({ plan: 'tea', amount: '1' });
    });
    expect(await readCustomer(block.app, block.model, 2)).toMatchObject({ plans: ['tea'] });
  }

  const overflow = await setUp('overflow', 0);
  const kept = await overflow.write(2, second);
  expect((await newRows(overflow.model, 2)).roots).toEqual([]);
  expect(await overflow.write(2, (m) => m.subscription.list())).toContainEqual(kept);

  const pick = await setUp('pick', 0);
  await pick.write(2, second);
  expect((await newRows(pick.model, 2)).subs).toMatchObject([{ plan: 'gold' }, { plan: 'tea' }]);
  expect((await operator.store.backlog(pick.model)).lossy).toBe(1);

  const before = await setUp('pick', undefined);
  await expect(before.write(2, second)).rejects.toMatchObject({ code: 'GW5005' });
  expect(await readCustomer(before.app, before.model, 2)).toMatchObject({ plans: ['gold'] });
});

test('a column that the old table has no place for is not lost in it', async () => {
  const { model, write } = await setUp('pick', 0);
  const [sub] = await write(2, (m) => m.subscription.list());
  await write(2, (m) => m.subscription.update(sub?.id as string, { seats: 4 }));
  expect((await newRows(model, 2)).subs).toMatchObject([{ id: sub?.id, plan: 'gold', seats: 4 }]);
});

test('the form for existing SQL runs the side that owns the identity, and only that', async () => {
  const { model, app } = await setUp('block', 0);
  const ran: string[] = [];
  const rename = (id: number, email: string) =>
    app.tx((tx) =>
      app.godwit.write(model, id, tx, {
        old: async () => {
          ran.push('old');
          await tx.query(`UPDATE ${model.from.name} SET email = $2 WHERE customer_id = $1`, [id, email]);
          return email;
        },
        new: async (m) => {
          ran.push('new');
          await m.customer.set({ email });
          return email;
        },
      }),
    );
  expect(await rename(1, 'one@x')).toBe('one@x');
  expect(await readCustomer(app, model, 1)).toMatchObject({ email: 'one@x' });
  expect((await operator.store.backlog(model)).dirty, 'allowed, so not taken for a write past the library').toBe(0);
  await operator.change(model, { ramp: 10_000 });
  await rename(1, 'two@x');
  expect(ran).toEqual(['old', 'new']);
  expect(await readCustomer(app, model, 1)).toMatchObject({ email: 'two@x' });
  expect(await oldRow(model, 1)).toMatchObject({ email: 'one@x' });
  // Statements of the application's own on the new tables are looked at too.
  const double = app.tx((tx) =>
    app.godwit.write(model, 2, tx, {
      old: () => undefined,
      new: async () => {
        await tx.query(
          `INSERT INTO ${model.to.subscription?.name} (id, customer_id, plan, amount)
           VALUES ('00000000-0000-4000-8000-000000000001', 2, 'tea', 1)`,
        );
      },
    }),
  );
  await expect(double).rejects.toMatchObject({ code: 'GW5005' });
});

test('a steady-state write costs no round trip more than its statement', async () => {
  const { model, app, write } = await setUp('pick', 10_000);
  await write(1, (m) => m.customer.set({ email: 'adopted@x' }));
  const client = await app.pool.connect();
  try {
    const sent: unknown[] = [];
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    await client.query('BEGIN');
    Object.assign(client, {
      query: (...args: unknown[]) => {
        sent.push(args[0]);
        return query(...args);
      },
    });
    await app.godwit.write(model, 1, client, (m) => m.customer.set({ email: 'steady@x' }));
    Object.assign(client, { query });
    await client.query('COMMIT');
    expect(sent).toHaveLength(1);
  } finally {
    client.release(true);
  }
});

test('an insert with an id that is there replaces the row, as the first operation and later', async () => {
  for (const ramp of [0, 10_000]) {
    const { write } = await setUp('pick', ramp);
    const id = (await write(2, (m) => m.subscription.list()))[0]?.id as string;
    await write(2, (m) => m.subscription.insert({ id, plan: 'first', amount: '1' }));
    expect(await write(2, (m) => m.subscription.list())).toMatchObject([{ id, plan: 'first' }]);
    await write(2, async (m) => {
      await m.customer.set({ email: 'r@x' });
      await m.subscription.insert({ id, plan: 'later', amount: '1' });
    });
    expect(await write(2, (m) => m.subscription.list())).toMatchObject([{ id, plan: 'later' }]);
  }
});

test('a write that throws before its first operation leaves the identity alone', async () => {
  const { model, write } = await setUp('pick', 10_000);
  await expect(write(2, () => Promise.reject(new Error('no')))).rejects.toThrow('no');
  const client = await operator.pool.connect();
  try {
    await client.query('BEGIN');
    const app = await startProcess(server.uri, [model], { relay: false });
    processes.push(app);
    await app.godwit.write(model, 2, client, () => Promise.reject(new Error('no'))).catch(() => undefined);
    const { rows } = await client.query(
      "SELECT count(*)::int n FROM pg_locks WHERE locktype = 'advisory' AND pid = pg_backend_pid()",
    );
    expect(rows[0].n).toBe(0);
    await client.query('ROLLBACK');
  } finally {
    client.release();
  }
});

test('a pool of one connection is enough, which the application holds while it writes and reads', async () => {
  const { model } = await setUp('pick', 10_000);
  const app = await startProcess(server.uri, [model], { max: 1, relay: false });
  try {
    const email = await app.tx(async (tx) => {
      await app.godwit.write(model, 1, tx, (m) => m.customer.set({ email: 'one@x' }));
      const sides = { old: (row?: { email: string } | null) => row?.email, new: () => 'new' };
      return app.godwit.read(model, 1, sides, { tx });
    });
    expect(email).toBe('one@x');
  } finally {
    await app.close();
  }
});
