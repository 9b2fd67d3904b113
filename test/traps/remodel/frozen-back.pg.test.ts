/** Trap 8, the way back: the new rows are given back while some process, or a transaction, still goes by them. */
import { type ChildProcess, fork } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { answerOf, godwit, makeCustomers, poolOf, statusOf } from '../../e2e/remodel/world.ts';
import { type PostgresServer, startPostgres } from '../../servers/postgres.ts';
import { waitFor } from '../../servers/wait-for.ts';
import type { Asked } from './frozen-application.ts';

let server: PostgresServer;
const children: ChildProcess[] = [];

beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill('SIGKILL');
});
afterAll(() => server?.stop());

async function start(db: string): Promise<ChildProcess> {
  const child = fork(fileURLToPath(new URL('frozen-application.ts', import.meta.url)), {
    env: { ...process.env, DB: db },
    execArgv: ['--import', 'tsx'],
  });
  children.push(child);
  await once(child, 'message');
  return child;
}

async function ask(child: ChildProcess, asked: Asked): Promise<string> {
  const answered = once(child, 'message');
  child.send(asked);
  return (await answered)[0] as string;
}

test('what a transaction adopts that began before the way back is given back, too', async () => {
  const db = await server.createDatabase();
  const pool = poolOf(db, 2);
  try {
    await makeCustomers(db, 30);
    await answerOf(db, ['create', '--samples', '5']);
    await answerOf(db, ['ramp', '100%']);
    const busy = await start(db);
    // It goes to the new tables, and is not committed.
    expect(await ask(busy, { kind: 'begin', id: 3, email: 'begun before' })).toBe('done');
    const early = await godwit(db, ['rollback', '--to', 'created', '--timeout', '2s']);
    expect(await ask(busy, { kind: 'commit' })).toBe('done');
    expect(early.code, 'it waits for the transaction').toBe(6);
    expect(await answerOf(db, ['rollback', '--to', 'created'])).toMatchObject({ phase: 'created' });
    const { rows } = await pool.query(
      'select (select email from customers where customer_id = 3), (select count(*)::int as left from customers_v2)',
    );
    expect(rows).toEqual([{ email: 'begun before', left: 0 }]);
    expect(await ask(busy, { kind: 'read', id: 3 })).toBe('begun before');
  } finally {
    await pool.end();
  }
});

test('a process that wakes up when new rows were given back reads them where they are now', async () => {
  const db = await server.createDatabase();
  await makeCustomers(db, 30);
  await answerOf(db, ['create', '--samples', '5']);
  await answerOf(db, ['ramp', '100%']);
  await answerOf(db, ['seal']);
  await answerOf(db, ['backfill', '--throttle', 'off']);
  await answerOf(db, ['verify', '--by-value']);
  await answerOf(db, ['reads', '100%', '--min-shadow', '0']);
  const [idle, busy] = [await start(db), await start(db)];
  expect(await ask(idle, { kind: 'read', id: 3 })).toBe('user3@example.com');
  idle.kill('SIGSTOP');
  await waitFor(
    async () => {
      const { leases } = await statusOf(db);
      return leases.filter(({ ageMs }) => ageMs < 5_000).length === 1;
    },
    { timeoutMs: 30_000, what: 'its lease to run out' },
  );
  await answerOf(db, ['rollback', '--to', 'created']);
  await ask(busy, { kind: 'write', id: 6, email: 'written in the old table' });
  // Both are asked in the moment it goes on, before it can have looked at anything.
  const answers: string[] = [];
  idle.on('message', (answer: string) => answers.push(answer));
  for (const id of [3, 6]) idle.send({ kind: 'read', id } satisfies Asked);
  idle.kill('SIGCONT');
  await waitFor(() => answers.length === 2, { timeoutMs: 30_000, what: 'its answers' });
  expect(answers.sort()).toEqual(['user3@example.com', 'written in the old table']);
});
