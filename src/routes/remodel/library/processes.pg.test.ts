/** Two processes of one application on one remodel: nothing lost, nothing doubled, nothing read from the past. */
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import { waitFor } from '../../../../test/servers/wait-for.ts';
import {
  createSubs,
  customerOf,
  legacyRead,
  newRead,
  type Operator,
  type Process,
  readCustomer,
  type Subs,
  startOperator,
  startProcess,
} from './fixtures/processes.ts';
import { subsMigration } from './fixtures/subs.ts';

let server: PostgresServer;
let operator: Operator;
const processes: Process[] = [];
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  operator = await startOperator(server.uri);
});
afterEach(async () => {
  for (const process of processes.splice(0)) await process.close();
});
afterAll(async () => {
  await operator?.close();
  await server?.stop();
});

const signal = new AbortController().signal;
let made = 0;
async function setUp(customers: number, policy: 'pick' | 'block' | 'overflow' = 'pick') {
  const model = subsMigration(policy, `two${++made}`);
  await createSubs(operator, model, customers);
  const [a, b] = [await startProcess(server.uri, [model]), await startProcess(server.uri, [model])];
  processes.push(a, b);
  return { model, a, b };
}
const drained = (model: Subs) =>
  waitFor(async () => (await operator.store.backlog(model)).pending === 0, { timeoutMs: 30_000, what: 'the drain' });
const seen = (process: Process, epoch: number) =>
  waitFor(() => process.godwit.status().remodels[0]?.control?.epoch === epoch, {
    timeoutMs: 10_000,
    what: 'the epoch',
  });
/** Runs `lanes` of `each` side by side, `times` in turn. */
const inLanes = (lanes: number, times: number, each: (lane: number, n: number) => Promise<void>) =>
  Promise.all(
    Array.from({ length: lanes }, async (_, lane) => {
      for (let n = 0; n < times; n++) await each(lane, n);
    }),
  );

test('trap 10: a read on another process is never older than the last write', async () => {
  const { model, a, b } = await setUp(64);
  const epoch = await operator.change(model, { phase: 'dual', ramp: 10_000 });
  await Promise.all([seen(a, epoch), seen(b, epoch)]);
  let stale = 0;
  let staleWithoutCare = 0;
  await inLanes(8, 1_500, async (lane, n) => {
    const [writer, reader] = n % 2 === 0 ? [a, b] : [b, a];
    const id = 1 + lane * 8 + (n % 8);
    const email = `${lane}-${n}@x`;
    await writer.tx((tx) => writer.godwit.write(model, id, tx, (m) => m.customer.set({ email })));
    // What an application sees that reads its old table as ever.
    if (n % 4 === 0 && (await legacyRead(reader.pool, model, id))?.email !== email) staleWithoutCare += 1;
    const answer =
      n % 50 === 0
        ? await reader.godwit.read(model, id, {
            old: () => legacyRead(reader.pool, model, id),
            new: () => newRead(reader.pool, model, id),
          })
        : await readCustomer(reader, model, id);
    if (answer?.email !== email) stale += 1;
  });
  expect(stale).toBe(0);
  expect(staleWithoutCare, 'the trap was there').toBeGreaterThan(100);
  const text = a.godwit.metrics();
  expect(Number(/godwit_reads_total\{[^}]*side="pending"\} (\d+)/.exec(text)?.[1])).toBeGreaterThan(100);
  expect(text).toMatch(/godwit_write_seconds\{remodel="[^"]*",owner="new",quantile="0.99"\} /);
  await drained(model);
  expect(await operator.store.verify(model, { byValue: true, signal })).toMatchObject({ different: 0, extra: 0 });
  expect(await legacyRead(a.pool, model, 1)).toEqual(await newRead(a.pool, model, 1));
});

test('a deletion is read at once, and inside its own transaction', async () => {
  const { model, a, b } = await setUp(200);
  const epoch = await operator.change(model, { phase: 'dual', ramp: 10_000 });
  await Promise.all([seen(a, epoch), seen(b, epoch)]);
  await inLanes(8, 25, async (lane, n) => {
    const id = 1 + lane * 25 + n;
    await a.tx(async (tx) => {
      await a.godwit.write(model, id, tx, (m) => m.delete());
      const inside = await a.godwit.read(
        model,
        id,
        {
          old: (row) => (row === undefined ? legacyRead(tx, model, id) : row && customerOf(row)),
          new: () => newRead(tx, model, id),
        },
        { tx },
      );
      expect(inside).toBeNull();
    });
    expect(await readCustomer(b, model, id)).toBeNull();
    const plain = { old: () => legacyRead(b.pool, model, id), new: () => newRead(b.pool, model, id) };
    expect(await b.godwit.read(model, id, plain)).toBeNull();
    await expect(b.tx((tx) => b.godwit.read(model, id, plain, { tx }))).rejects.toMatchObject({ code: 'GW5008' });
  });
  await drained(model);
  const { rows } = await operator.pool.query(`SELECT count(*)::int n FROM ${model.from.name}`);
  expect(rows[0].n).toBe(0);
});

test('traps 1, 8, 12: no write is lost and no row doubled while the ramp moves and the copier runs', async () => {
  const { model, a, b } = await setUp(40);
  await operator.change(model, { phase: 'dual', ramp: 0 });
  const counts = new Map<number, number>();
  let isDone = false;
  const mover = (async () => {
    for (let n = 0; !isDone; n++) {
      await operator.change(model, { ramp: [0, 10_000, 2_000, 10_000][n % 4] as number });
      const ids = Array.from({ length: 10 }, (_, i) => String(1 + ((n * 7 + i) % 40)));
      await operator.store.adopt(model, ids);
    }
  })();
  await inLanes(8, 150, async (lane, n) => {
    const process = (lane + n) % 2 === 0 ? a : b;
    const id = 1 + ((lane * 11 + n * 3) % 40);
    await process.tx((tx) =>
      process.godwit.write(model, id, tx, async (m) => {
        const [sub] = await m.subscription.list();
        if (sub === undefined) await m.subscription.insert({ plan: 'gold', amount: '1' });
        else await m.subscription.update(sub.id, { amount: String(Number(sub.amount) + 1) });
      }),
    );
    counts.set(id, (counts.get(id) ?? 0) + 1);
  });
  isDone = true;
  await mover;
  await operator.store.adopt(
    model,
    Array.from({ length: 40 }, (_, i) => String(i + 1)),
  );
  await drained(model);
  const { rows } = await operator.pool.query(
    `SELECT customer_id::int id, count(*)::int n, sum(amount)::int amount FROM ${model.to.subscription?.name} GROUP BY 1`,
  );
  for (const { id, n, amount } of rows as { id: number; n: number; amount: number }[]) {
    expect(n, `subscriptions of ${id}`).toBe(1);
    expect(amount, `writes of ${id}`).toBe((id % 2 === 0 ? id : 0) + (counts.get(id) ?? 0));
  }
  expect(rows).toHaveLength(
    [...counts.keys(), ...Array.from({ length: 20 }, (_, i) => 2 * i + 2)].filter((id, i, all) => all.indexOf(id) === i)
      .length,
  );
  const proof = await operator.store.verify(model, { byValue: true, signal });
  expect(proof).toMatchObject({ missing: 0, extra: 0, different: 0, identities: 40 });
  expect((await operator.store.backlog(model)).quarantined).toBe(0);
});

test('trap 17: a side that hangs holds a place in the shadow, and nobody else', async () => {
  const { model, a } = await setUp(10, 'block');
  const epoch = await operator.change(model, { phase: 'dual', ramp: 10_000 });
  await operator.store.adopt(
    model,
    Array.from({ length: 10 }, (_, i) => String(i + 1)),
  );
  await drained(model);
  const now = await operator.change(model, { phase: 'verified', shadow: 10_000 });
  expect(now).toBeGreaterThan(epoch);
  await seen(a, now);
  let hanging = 0;
  const release: (() => void)[] = [];
  for (let n = 0; n < 200; n++) {
    const answer = await a.godwit.read(model, 1, {
      old: (row) => (row === undefined ? legacyRead(a.pool, model, 1) : null),
      new: () => {
        hanging += 1;
        return new Promise<null>((resolve) => release.push(() => resolve(null)));
      },
    });
    expect(answer?.id).toBe('1');
  }
  await waitFor(() => hanging === 4, { timeoutMs: 5_000, what: 'all places to be taken' });
  expect(a.godwit.metrics()).toMatch(/godwit_shadow_total\{remodel="[^"]*",outcome="dropped"\} 196\n/);
  for (const each of release) each();
});

test('a difference is reported only when it stays, redacted; and counted for all', async () => {
  const { model, a, b } = await setUp(10, 'block');
  await operator.change(model, { phase: 'dual', ramp: 10_000 });
  await operator.store.adopt(
    model,
    Array.from({ length: 10 }, (_, i) => String(i + 1)),
  );
  await drained(model);
  const epoch = await operator.change(model, { phase: 'reads', shadow: 10_000, reads: 5_000 });
  await Promise.all([seen(a, epoch), seen(b, epoch)]);
  // Writes under way look like differences, and are none.
  await inLanes(4, 100, async (lane, n) => {
    const id = 1 + ((lane + n) % 10);
    await a.tx((tx) => a.godwit.write(model, id, tx, (m) => m.customer.set({ email: `${lane}-${n}@x` })));
    await readCustomer(b, model, id);
  });
  await drained(model);
  expect(b.events.filter((event) => event.kind === 'shadow-difference')).toEqual([]);
  await operator.pool.query(`UPDATE ${model.to.customer?.name} SET email = 'wrong' WHERE customer_id = 3`);
  const shadowed = await waitFor(
    async () => {
      await b.godwit.read(
        model,
        3,
        { old: () => legacyRead(b.pool, model, 3), new: () => newRead(b.pool, model, 3) },
        { clean: (customer) => ({ id: customer?.id }) },
      );
      return b.events.find((event) => event.kind === 'shadow-difference');
    },
    { timeoutMs: 20_000, what: 'the difference' },
  );
  expect(shadowed).toEqual({
    kind: 'shadow-difference',
    remodel: model.name,
    identity: '3',
    paths: ['email'],
    old: { id: '3' },
    new: { id: '3' },
  });
  const count = await waitFor(
    async () => {
      const found = await operator.store.shadowCount(model);
      return found.confirmed > 0 && found.same > 0 ? found : undefined;
    },
    { timeoutMs: 10_000, what: 'the counts' },
  );
  expect(count.failed).toBe(0);
});

test('a process with another definition, or without a remodel, is refused', async () => {
  const { model, a } = await setUp(2);
  const other = subsMigration('block', model.name);
  await expect(startProcess(server.uri, [other])).rejects.toMatchObject({ code: 'GW7008' });
  await expect(startProcess(server.uri, [subsMigration('pick', 'nowhere')])).rejects.toMatchObject({ code: 'GW1004' });
  await operator.pool.query(`UPDATE godwit.remodel SET definition = 'another', epoch = epoch + 1 WHERE name = $1`, [
    model.name,
  ]);
  await waitFor(() => a.events.some(({ kind }) => kind === 'definition-differs'), { timeoutMs: 5_000, what: 'notice' });
  const write = a.tx((tx) => a.godwit.write(model, 1, tx, (m) => m.customer.set({ email: 'x' })));
  await expect(write).rejects.toMatchObject({ code: 'GW7008' });
});

test('a lease says which epoch a process goes by', async () => {
  const { model, a, b } = await setUp(2);
  const epoch = await operator.change(model, { phase: 'dual', ramp: 100 });
  const names = [a, b].map(({ godwit }) => godwit.status().process).sort();
  await waitFor(
    async () => {
      const leases = await operator.store.leases(model);
      return leases.length === 2 && leases.every((lease) => lease.epoch === epoch && lease.role === 'application');
    },
    { timeoutMs: 10_000, what: 'both leases on the epoch' },
  );
  expect((await operator.store.leases(model)).map((lease) => lease.process).sort()).toEqual(names);
});

test('the relay outlives the loss of its connections, and says so', async () => {
  const { model, a } = await setUp(40);
  await seen(a, await operator.change(model, { phase: 'dual', ramp: 10_000 }));
  const write = (id: number, email: string) =>
    a.tx((tx) => a.godwit.write(model, id, tx, (m) => m.customer.set({ email })));
  const count = (kind: string) => a.events.filter((event) => event.kind === kind).length;
  for (let round = 1; round <= 4; round++) {
    // The server dies while connections are at work. (One that nobody listens to would end this process.)
    for (let id = 1; id <= 40; id++) await write(id, `before${round}@x`);
    const [failed, recovered] = [count('relay-failed'), count('relay-recovered')];
    await server.kill();
    await waitFor(() => count('relay-failed') > failed, { timeoutMs: 10_000, what: 'the failure' });
    expect(a.godwit.status().remodels[0]?.relay?.tasks.some(({ failures }) => failures > 0)).toBe(true);
    await server.start();
    await waitFor(() => count('relay-recovered') > recovered, { timeoutMs: 20_000, what: 'the recovery' });
    await write(1, `after${round}@x`);
    await drained(model);
    expect(await legacyRead(a.pool, model, 1)).toMatchObject({ email: `after${round}@x` });
    expect(await legacyRead(a.pool, model, 40)).toMatchObject({ email: `before${round}@x` });
  }
});
