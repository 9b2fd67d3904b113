/** Old rows carried by way of real brokers, and in spite of them. */
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { startNats } from '../../../../test/servers/nats.ts';
import { type PostgresServer, startPostgres } from '../../../../test/servers/postgres.ts';
import { startRabbitmq } from '../../../../test/servers/rabbitmq.ts';
import { waitFor } from '../../../../test/servers/wait-for.ts';
import { createSubs, type Operator, startOperator, startProcess } from '../library/fixtures/processes.ts';
import { subsMigration } from '../library/fixtures/subs.ts';
import { natsQueue, rabbitmqQueue } from '../library/index.ts';

let server: PostgresServer;
let operator: Operator;
beforeAll(async () => {
  server = await startPostgres({ fsync: false });
  operator = await startOperator(server.uri);
});
afterAll(async () => {
  await operator?.close();
  await server?.stop();
});

const BROKERS = {
  rabbitmq: async () => {
    const broker = await startRabbitmq();
    return { broker, queue: rabbitmqQueue(broker.uri) };
  },
  nats: async () => {
    const broker = await startNats();
    return { broker, queue: natsQueue(broker.uri) };
  },
} as const;

describe.each(['nats', 'rabbitmq'] as const)('%s', (kind) => {
  test('rings for what has to be carried; when it is gone, nothing waits for ever', async () => {
    const { broker, queue } = await BROKERS[kind]();
    const model = subsMigration('pick', `by-${kind}`);
    await createSubs(operator, model, 200);
    await operator.change(model, { phase: 'dual', ramp: 10_000 });
    const writer = await startProcess(server.uri, [model], { queue });
    const hearer = await startProcess(server.uri, [model], { queue });
    try {
      const writeAll = async (email: string) => {
        for (let id = 1; id <= 200; id++)
          await writer.tx((tx) =>
            writer.godwit.write(model, id, tx, (m) => m.customer.set({ email: `${email}${id}` })),
          );
      };
      const carried = (email: string) =>
        waitFor(
          async () => {
            const { rows } = await operator.pool.query(
              `SELECT count(*)::int n FROM ${model.from.name} WHERE email = $1 || customer_id`,
              [email],
            );
            return rows[0].n === 200;
          },
          { timeoutMs: 60_000, what: 'all to be carried' },
        );
      const relays = () => [writer, hearer].map(({ godwit }) => godwit.status().remodels[0]?.relay);
      await writeAll('first');
      await carried('first');
      expect(relays().map((relay) => relay?.by)).toEqual([kind, kind]);
      expect(relays().every((relay) => relay?.tasks.find(({ task }) => task === 'listen')?.isRunning)).toBe(true);
      expect(relays().reduce((sum, relay) => sum + (relay?.heard ?? 0), 0)).toBeGreaterThan(100);
      expect(relays().reduce((sum, relay) => sum + (relay?.applied ?? 0), 0)).toBeGreaterThanOrEqual(200);
      await broker.kill();
      await writeAll('second');
      await carried('second');
    } finally {
      await Promise.all([writer.close(), hearer.close()]);
      await broker[Symbol.asyncDispose]();
    }
  });
});
