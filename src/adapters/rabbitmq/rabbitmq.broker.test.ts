import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { type ChannelModel, connect } from 'amqplib';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { describeDoorbellContract, expectRefused } from '../../../test/contract/doorbell.ts';
import { type Rabbitmq, startRabbitmq } from '../../../test/servers/rabbitmq.ts';
import { waitFor } from '../../../test/servers/wait-for.ts';
import { rabbitmqDoorbell } from './index.ts';

const never = new AbortController().signal;

async function withConnection<T>(uri: string, work: (connection: ChannelModel) => Promise<T>): Promise<T> {
  const connection = await connect(uri);
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

function queueIsOnDisk({ dir }: Rabbitmq, queue: string): boolean {
  const mnesia = join(dir, 'mnesia');
  const file = readdirSync(mnesia, { recursive: true, encoding: 'utf8' }).find((path) =>
    /[/]quorum[/].*names[.]dets$/.test(path),
  );
  if (file === undefined) return false;
  const [, ...afterName] = readFileSync(join(mnesia, file), 'latin1').split(queue);
  return afterName.some((rest) => !/^\d/.test(rest)); // r1 is not r10
}

describeDoorbellContract('RabbitMQ', async () => {
  const server = await startRabbitmq();
  return {
    server,
    make: (uri, options) => rabbitmqDoorbell({ uri, ...options }),
    putForeign: (remodel, body) =>
      withConnection(server.uri, async (connection) => {
        const channel = await connection.createConfirmChannel();
        channel.sendToQueue(`godwit.remodel.${remodel}`, Buffer.from(body));
        await channel.waitForConfirms();
      }),
    held: (remodel) =>
      withConnection(server.uri, async (connection) => {
        const channel = await connection.createChannel();
        // Counted one by one: the broker's own count is an estimate that lags by seconds.
        let count = 0;
        while (await channel.get(`godwit.remodel.${remodel}`)) count += 1;
        return count;
      }),
    keptBack: 0,
    // This broker writes its directory of quorum queues only so often, and forgets what is not in it.
    settled: async (remodel) => {
      await waitFor(() => queueIsOnDisk(server, `godwit.remodel.${remodel}`), { timeoutMs: 30_000, what: 'the queue' });
    },
  };
});

describe('RabbitMQ only', () => {
  let server: Rabbitmq;
  beforeAll(async () => {
    server = await startRabbitmq();
  });
  afterAll(() => server?.stop());

  const makeBell = (uri = server.uri) => {
    const bell = rabbitmqDoorbell({ uri });
    onTestFinished(() => bell.close());
    return bell;
  };

  test('the queue is durable and a quorum queue', async () => {
    await makeBell().ring('kind', ['x'], never);
    const queues = await server.ctl('list_queues', 'name', 'type', 'durable');
    expect(queues).toMatch(/^godwit\.remodel\.kind\tquorum\ttrue$/m);
  });

  test('a queue deleted meanwhile is made anew: no ring is confirmed into nothing', async () => {
    const bell = makeBell();
    await bell.ring('gone', ['before'], never);
    await withConnection(server.uri, async (connection) => {
      const channel = await connection.createChannel();
      await channel.deleteQueue('godwit.remodel.gone');
    });
    await bell.ring('gone', ['after'], never);
    expect(bell.counts.faults).toBeGreaterThan(0);
    const heard: string[] = [];
    const stop = new AbortController();
    const listening = bell.listen('gone', async (ids) => void heard.push(...ids), stop.signal);
    await waitFor(() => heard.includes('after'), { timeoutMs: 30_000, what: 'the ring' });
    stop.abort();
    await listening;
    expect(heard).toEqual(['after']);
  });

  test('a listener whose queue is deleted declares it again', async () => {
    const bell = makeBell();
    const heard: string[] = [];
    const stop = new AbortController();
    const listening = bell.listen('cancelled', async (ids) => void heard.push(...ids), stop.signal);
    await bell.ring('cancelled', ['before'], never);
    await waitFor(() => heard.includes('before'), { timeoutMs: 30_000, what: 'the first ring' });
    await withConnection(server.uri, async (connection) => {
      const channel = await connection.createChannel();
      await channel.deleteQueue('godwit.remodel.cancelled');
    });
    await bell.ring('cancelled', ['after'], never);
    await waitFor(() => heard.includes('after'), { timeoutMs: 30_000, what: 'the second ring' });
    stop.abort();
    await listening;
  });

  test('a queue that its owner made otherwise is used as it is, without the privilege to configure', async () => {
    await withConnection(server.uri, async (connection) => {
      const channel = await connection.createChannel();
      await channel.assertQueue('godwit.remodel.own', { durable: true, maxLength: 1_000 });
    });
    await server.ctl('add_user', 'modest', 's3cret+modest');
    await server.ctl('set_permissions', 'modest', '^$', '.*', '.*');
    const bell = makeBell(server.uriOf('modest', 's3cret+modest'));
    const heard: string[] = [];
    const stop = new AbortController();
    const listening = bell.listen('own', async (ids) => void heard.push(...ids), stop.signal);
    await bell.ring('own', ['x'], never);
    await waitFor(() => heard.includes('x'), { timeoutMs: 30_000, what: 'the ring' });
    stop.abort();
    await listening;
  });

  test('a broker that refuses says so in our codes, and no password is shown', async () => {
    await expectRefused(rabbitmqDoorbell({ uri: server.uriOf('godwit', 'wr0ng@/pass') }), 'GW2003', 'wr0ng@/pass');
    await expectRefused(
      rabbitmqDoorbell({ uri: server.uriOf('godwit', 'p@ss/word', 'nowhere') }),
      'GW2004',
      'p@ss/word',
    );
    await server.ctl('add_user', 'stranger', 's3cret+stranger');
    const stranger = server.uriOf('stranger', 's3cret+stranger');
    await expectRefused(rabbitmqDoorbell({ uri: stranger }), 'GW2004', 's3cret+stranger');
    await server.ctl('set_permissions', 'stranger', '^$', '^$', '^$');
    await expectRefused(rabbitmqDoorbell({ uri: stranger }), 'GW2004', 's3cret+stranger');
  });
});
