/** What goes wrong in the life of a remodel, by the command line on a real PostgreSQL. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import pg from 'pg';
import { afterAll, beforeAll, beforeEach, expect, test } from 'vitest';
import { PostgresRemodelStore } from '../../../src/adapters/postgres/index.ts';
import { definitionHash } from '../../../src/kernel/remodel/index.ts';
import { createGodwit, postgresStore } from '../../../src/routes/remodel/library/index.ts';
import { type PostgresServer, startPostgres } from '../../servers/postgres.ts';
import { waitFor } from '../../servers/wait-for.ts';
import { picky, subs } from './subscriptions.fixture.ts';
import { answerOf, DEFINITION, godwit, makeCustomers, poolOf, refusalOf, statusOf } from './world.ts';

const ROWS = 400;
let server: PostgresServer;
let db: string;

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(async () => {
  await server?.stop();
});
beforeEach(async () => {
  db = await server.createDatabase();
  await makeCustomers(db, ROWS);
});

async function withClient<T>(work: (client: pg.Client) => Promise<T>): Promise<T> {
  const client = new pg.Client(db);
  await client.connect();
  try {
    return await work(client);
  } finally {
    await client.end();
  }
}

const query = (text: string) => withClient(async (client) => (await client.query(text)).rows);

async function upTo(phase: 'created' | 'dual' | 'sealed', remodel = 'subs'): Promise<void> {
  const name = ['--remodel', remodel];
  await answerOf(db, ['create', '--samples', '5', ...name]);
  if (phase === 'created') return;
  await answerOf(db, ['ramp', '100%', ...name]);
  if (phase === 'sealed') await answerOf(db, ['seal', ...name]);
}

const quietly = ['--throttle', 'off'];

test('a row that the new table refuses is set aside, named, and tried again when it was mended', async () => {
  await upTo('created');
  await query('create unique index customers_v2_email on customers_v2 (lower(email))');
  await answerOf(db, ['doctor', '--accept-shape']);
  await query("update customers set email = 'USER1@example.com' where customer_id = 7");
  await answerOf(db, ['ramp', '100%']);
  await answerOf(db, ['seal']);
  const first = await answerOf(db, ['backfill', ...quietly], 6);
  expect(first).toMatchObject({ ok: false, backfill: { adopted: ROWS - 1, quarantined: 1 } });
  expect((await statusOf(db)).backlog).toMatchObject({ quarantined: 1 });
  expect(await refusalOf(db, ['verify'])).toBe('GW6003');
  const { findings } = await answerOf(db, ['doctor'], 6);
  expect(findings).toContainEqual(
    expect.objectContaining({ check: 'quarantine', message: expect.stringContaining('customers_v2_email') }),
  );

  await query("update customers set email = 'user7@example.com' where customer_id = 7");
  await answerOf(db, ['doctor', '--retry-quarantine'], 0);
  expect(await answerOf(db, ['backfill', ...quietly])).toMatchObject({ ok: true, backfill: { quarantined: 0 } });
});

test('several processes share a backfill', async () => {
  await upTo('sealed');
  const parts = await Promise.all(
    ['1/3', '2/3', '3/3'].map(async (part) => {
      // Who comes first moves the phase; the others find it moved under them and are started again.
      for (;;) {
        const said = await godwit(db, ['backfill', '--part', part, '--chunk', '20', ...quietly, '--json']);
        const answer = JSON.parse(said.out);
        if (answer.error?.code === 'GW7007') continue;
        expect(answer).toMatchObject({ ok: true });
        return answer.backfill.adopted as number;
      }
    }),
  );
  expect(parts.reduce((sum, adopted) => sum + adopted, 0)).toBe(ROWS);
  for (const adopted of parts) expect(adopted).toBeGreaterThan(ROWS / 6);
  expect((await answerOf(db, ['backfill', ...quietly])).backfill).toMatchObject({ listed: 0, passes: 1 });
});

test('a backfill under way ends when somebody goes back, who waits for it; nothing is adopted after that', async () => {
  await upTo('sealed');
  const owned = async () => Number((await query('select count(*) as n from customers_v2'))[0].n);
  const copying = godwit(db, ['backfill', '--chunk', '10', '--max-rate', '60', '--json']);
  await waitFor(async () => (await owned()) >= 20, { timeoutMs: 60_000, what: 'some to be adopted' });
  const roles = async () => (await statusOf(db)).leases.map(({ role }) => role);
  expect(await roles()).toEqual(['copier']);
  await answerOf(db, ['rollback', '--to', 'created']);
  const after = [await owned()];
  const said = await copying;
  after.push(await owned());
  expect(JSON.parse(said.out)).toMatchObject({ error: { code: 'GW1004' } });
  expect(after, 'all was given back, and stays so').toEqual([0, 0]);
  expect(await roles(), 'nobody waits for a process that has ended').toEqual([]);
});

test('a backfill that is killed goes on with what is left', async () => {
  await upTo('sealed');
  const main = fileURLToPath(new URL('../../../src/cli/main.ts', import.meta.url));
  const child = spawn(
    process.execPath,
    ['--import', 'tsx', main, 'remodel', 'backfill', '--chunk', '10', '--lanes', '1', '--max-rate', '60'],
    { env: { ...process.env, GODWIT_DB: db, GODWIT_DEFINITION: DEFINITION, GODWIT_REMODEL: 'subs' }, stdio: 'ignore' },
  );
  const ended = once(child, 'exit');
  const owned = async () => Number((await query('select count(*) as n from customers_v2'))[0].n);
  await waitFor(async () => (await owned()) >= 50, { timeoutMs: 60_000, what: 'some to be adopted' });
  child.kill('SIGKILL');
  await ended;
  const before = await owned();
  expect(before).toBeLessThan(ROWS);
  const after = await answerOf(db, ['backfill', ...quietly]);
  expect(after).toMatchObject({ ok: true, phase: 'backfilling' });
  // The server may have committed one chunk more after the look.
  expect((after.backfill?.adopted as number) + before).toBeGreaterThanOrEqual(ROWS - 10);
  expect(await owned()).toBe(ROWS);
});

test('a stop by signal is no failure, and leaves what was done', async () => {
  await upTo('sealed');
  const stop = new AbortController();
  const running = godwit(db, ['backfill', '--chunk', '10', '--max-rate', '60', '--json'], stop.signal);
  await waitFor(async () => (await statusOf(db)).backlog?.owned, { timeoutMs: 30_000, what: 'some to be adopted' });
  stop.abort();
  const said = await running;
  expect([said.code, JSON.parse(said.out).error.code]).toEqual([130, 'GW8001']);
  expect((await answerOf(db, ['backfill', ...quietly])).ok).toBe(true);
});

test('what the old model cannot hold bars the way back until it is accepted', async () => {
  await upTo('dual', 'picky');
  const pool = poolOf(db, 4);
  const app = await createGodwit({ store: postgresStore({ pool }), migrations: [picky] });
  try {
    await withClient(async (client) => {
      await client.query('begin');
      await app.write(picky, 1, client as unknown as pg.PoolClient, async (m) => {
        await m.subscription.insert({ plan: 'second', amount: '1', started: '2030-01-01T00:00:00Z' });
      });
      await client.query('commit');
    });
    const name = ['--remodel', 'picky'];
    expect((await statusOfPicky()).backlog).toMatchObject({ lossy: 1, owned: 1 });
    expect(await refusalOf(db, ['rollback', ...name])).toBe('GW6003');
    const dry = await answerOf(db, ['rollback', '--dry-run', ...name], 6);
    expect(dry.gates).toContainEqual(
      expect.objectContaining({ name: 'the old model can hold everything', holds: false }),
    );
    expect((await statusOfPicky()).phase).toBe('dual');
    expect(await answerOf(db, ['rollback', '--accept-lossy', ...name])).toMatchObject({
      phase: 'created',
      released: 1,
    });
    expect(await query('select sub_plan from customers where customer_id = 1')).toEqual([{ sub_plan: 'plan1' }]);
  } finally {
    await app.close();
    await pool.end();
  }

  async function statusOfPicky() {
    return (await answerOf(db, ['status', '--remodel', 'picky'])) as unknown as Awaited<ReturnType<typeof statusOf>>;
  }
});

test('writes past the library are merged while the guard captures, and refused when it rejects', async () => {
  await upTo('sealed');
  await answerOf(db, ['backfill', ...quietly]);
  const stop = new AbortController();
  const relay = godwit(db, ['relay'], stop.signal);
  try {
    await query("update customers set email = 'by hand' where customer_id = 3");
    await query('delete from customers where customer_id = 4');
    await query("insert into customers (customer_id, email) values (9000, 'new by hand')");
    await waitFor(async () => (await statusOf(db)).backlog?.dirty === 0, { timeoutMs: 30_000, what: 'the merge' });
    // A row that came past the library is adopted by whoever deals with it first.
    expect(await answerOf(db, ['backfill', ...quietly])).toMatchObject({ ok: true });
    expect(await query('select email from customers_v2 where customer_id in (3, 4, 9000) order by 1')).toEqual([
      { email: 'by hand' },
      { email: 'new by hand' },
    ]);
    expect((await answerOf(db, ['verify', '--by-value'])).verify).toMatchObject([
      { missing: 0, extra: 0, different: 0 },
    ]);
    expect((await statusOf(db)).leases).toContainEqual(expect.objectContaining({ role: 'relay' }));

    await answerOf(db, ['doctor', '--guard', 'reject']);
    await expect(query("update customers set email = 'again' where customer_id = 3")).rejects.toThrow(/godwit/);
  } finally {
    stop.abort();
  }
  expect((await relay).code).toBe(130);
});

test('the ramp is not sealed before every process and every older transaction', async () => {
  await upTo('dual');
  const store = new PostgresRemodelStore({ pool: db });
  const lease = { process: 'frozen', host: 'h', role: 'application', definition: definitionHash(subs) } as const;
  try {
    await store.lease(subs, { ...lease, epoch: 1 });
    const refused = await godwit(db, ['seal', '--timeout', '300ms']);
    expect(refused.code).toBe(6);
    expect(refused.err).toMatch(/every live process knows it: not on epoch 2: frozen on h \(epoch 1\)/);
    await store.lease(subs, { ...lease, epoch: 2, definition: 'another' });
    expect((await godwit(db, ['seal', '--timeout', '300ms'])).err).toMatch(/another one: frozen on h/);
    await store.lease(subs, { ...lease, epoch: 2 });
  } finally {
    await store.close();
  }
  await withClient(async (client) => {
    await client.query('begin');
    await client.query('select 1');
    // Younger than the ramp at 100 %: seal looks at what was there before.
    await answerOf(db, ['ramp', '50%']);
    await answerOf(db, ['ramp', '100%']);
    const held = await godwit(db, ['seal', '--timeout', '300ms']);
    expect(held.err).toMatch(/no transaction is older/);
    const waiting = answerOf(db, ['seal', '--timeout', '30s']);
    await client.query('commit');
    expect(await waiting).toMatchObject({ phase: 'sealed' });
  });
});

test('status is watched until somebody stops looking', async () => {
  await upTo('dual');
  const stop = new AbortController();
  const watching = godwit(db, ['status', '--watch', '--json'], stop.signal);
  await answerOf(db, ['ramp', '50%']);
  setTimeout(() => stop.abort(), 1_500);
  const { code, out } = await watching;
  const lines = out
    .trim()
    .split('\n')
    .map((line) => JSON.parse(line));
  expect(code).toBe(0);
  expect(lines.at(-1)).toMatchObject({ type: 'status', status: { phase: 'dual', control: { ramp: 5_000 } } });
});

test('a history that was tampered with is noticed', async () => {
  await upTo('dual');
  expect((await answerOf(db, ['doctor'])).ok).toBe(true);
  await query(
    `update godwit.audit set data = jsonb_set(data, '{proof,gates,0,measured}', '"yes, of course"') where event = 'phase'`,
  );
  expect((await answerOf(db, ['doctor'], 6)).findings).toContainEqual(expect.objectContaining({ check: 'history' }));
});
