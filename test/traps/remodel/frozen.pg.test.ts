/** Trap 2: the backfill begins while some process still writes as before. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type pg from 'pg';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { answerOf, godwit, makeCustomers, poolOf, refusalOf, statusOf } from '../../e2e/remodel/world.ts';
import { type PostgresServer, startPostgres } from '../../servers/postgres.ts';
import { waitFor } from '../../servers/wait-for.ts';
import type { Asked } from './frozen-application.ts';

let server: PostgresServer;
let db: string;
let pool: pg.Pool;
const children: ChildProcess[] = [];

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  db = await server.createDatabase();
  pool = poolOf(db, 4);
});
afterEach(() => {
  for (const child of children) child.kill('SIGKILL');
});
afterAll(async () => {
  await pool?.end();
  await server?.stop();
});

async function start(): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('frozen-application.ts', import.meta.url)), {
    env: { ...process.env, DB: db },
    execArgv: ['--import', 'tsx'],
  });
  children.push(child);
  await once(child, 'message');
  return child;
}

async function ask(child: ChildProcess, asked: Asked): Promise<void> {
  child.send(asked);
  const [answer] = await once(child, 'message');
  expect(answer).toBe('done');
}

const emails = async (table: string) =>
  (await pool.query(`select email from ${table} where customer_id in (3, 6, 9) order by customer_id`)).rows.map(
    ({ email }) => email,
  );

test('processes frozen with an old control record, one of them inside a transaction, lose nothing and delay only the seal', async () => {
  await makeCustomers(db, 300);
  await answerOf(db, ['create', '--samples', '5']);
  await answerOf(db, ['ramp', '1%']);
  const [idle, busy] = [await start(), await start()];
  // Written in the old model, because the ramp is low, and not committed.
  await ask(busy, { kind: 'begin', id: 3, email: 'begun before' });
  for (const child of [idle, busy]) child.kill('SIGSTOP');

  await answerOf(db, ['ramp', '100%']);
  expect(await refusalOf(db, ['backfill'])).toBe('GW1004');
  const seal = await godwit(db, ['seal', '--timeout', '100ms']);
  expect(seal.code).toBe(6);
  expect(seal.err).toMatch(/every live process knows it: not on epoch/);
  // Once they count as dead, the transaction still does not.
  await waitFor(
    async () => {
      const gates = (await statusOf(db)).next?.gates ?? [];
      return gates.find(({ name }) => name === 'every live process knows it')?.holds;
    },
    { timeoutMs: 30_000, what: 'the leases to run out' },
  );
  const held = await godwit(db, ['seal', '--timeout', '100ms']);
  expect(held.code).toBe(6);
  expect(held.err).toMatch(/no transaction is older/);

  busy.kill('SIGCONT');
  await ask(busy, { kind: 'commit' });
  await answerOf(db, ['seal', '--timeout', '30s']);
  expect(await answerOf(db, ['backfill', '--throttle', 'off'])).toMatchObject({ ok: true });
  expect(await emails('customers_v2')).toEqual(['begun before', 'user6@example.com', 'user9@example.com']);

  // The other one wakes up with the record of then: the decision is the database's, in its transaction.
  const woken = once(idle, 'message');
  idle.send({ kind: 'write', id: 6, email: 'woken' } satisfies Asked);
  idle.kill('SIGCONT');
  expect((await woken)[0]).toBe('done');
  expect((await emails('customers_v2'))[1]).toBe('woken');
  // And one that does not know of the library at all.
  await pool.query(`update customers set email = 'past the library' where customer_id = 9`);
  await waitFor(
    async () => {
      const { pending, dirty } = (await statusOf(db)).backlog ?? {};
      return pending === 0 && dirty === 0;
    },
    { timeoutMs: 30_000, what: 'both sides to be one' },
  );
  for (const table of ['customers', 'customers_v2'])
    expect(await emails(table)).toEqual(['begun before', 'woken', 'past the library']);
  expect(await answerOf(db, ['verify', '--by-value'])).toMatchObject({ ok: true });
});
