/** `godwit remodel relay` as a process of its own, with a real broker to ring for it. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { createGodwit, natsQueue, postgresStore, rabbitmqQueue } from '../../../src/routes/remodel/library/index.ts';
import { startNats } from '../../servers/nats.ts';
import { type PostgresServer, startPostgres } from '../../servers/postgres.ts';
import { startRabbitmq } from '../../servers/rabbitmq.ts';
import { waitFor } from '../../servers/wait-for.ts';
import { subs } from './subscriptions.fixture.ts';
import { answerOf, godwit, makeCustomers, poolOf, statusOf } from './world.ts';

let server: PostgresServer;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
});
afterAll(() => server?.stop());

test.each([
  ['RabbitMQ', startRabbitmq, rabbitmqQueue],
  ['NATS', startNats, natsQueue],
] as const)('what the application writes is carried by a relay that %s rings for', async (_, start, queueOf) => {
  await using broker = await start();
  const db = await server.createDatabase();
  await makeCustomers(db, 100);
  await answerOf(db, ['create', '--samples', '5']);
  await answerOf(db, ['ramp', '100%']);
  const pool = poolOf(db, 4);
  const app = await createGodwit({
    store: postgresStore({ pool }),
    migrations: [subs],
    relay: false,
    queue: queueOf(broker.uri),
  });
  const stop = new AbortController();
  const relay = godwit(db, ['relay', '--queue', broker.uri], stop.signal);
  try {
    for (let id = 1; id <= 50; id += 1) {
      const client = await pool.connect();
      await client.query('begin');
      await app.write(subs, id, client, (m) => m.customer.set({ email: `mail${id}` }));
      await client.query('commit');
      client.release();
    }
    await waitFor(async () => (await statusOf(db)).backlog?.pending === 0, { timeoutMs: 30_000, what: 'the relay' });
    const { rows } = await pool.query("select count(*)::int as n from customers where email like 'mail%'");
    expect(rows[0].n).toBe(50);
    expect((await statusOf(db)).leases).toContainEqual(expect.objectContaining({ role: 'relay' }));
  } finally {
    stop.abort();
    await app.close();
    await pool.end();
  }
  const said = await relay;
  expect(said.code).toBe(130);
  expect(said.out).toMatch(/carrying changes to customers \((rabbitmq|nats)\)/);
  expect(said.out + said.err).not.toContain(new URL(db).password);
});
