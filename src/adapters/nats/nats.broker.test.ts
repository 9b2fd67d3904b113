import { jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection } from '@nats-io/transport-node';
import { describe, expect, onTestFinished, test } from 'vitest';
import { describeDoorbellContract, expectRefused } from '../../../test/contract/doorbell.ts';
import { type NatsOptions, startNats } from '../../../test/servers/nats.ts';
import { waitFor } from '../../../test/servers/wait-for.ts';
import { natsDoorbell } from './index.ts';

const never = new AbortController().signal;

async function withConnection<T>(port: number, work: (connection: NatsConnection) => Promise<T>): Promise<T> {
  const connection = await connect({ servers: `127.0.0.1:${port}` });
  try {
    return await work(connection);
  } finally {
    await connection.close();
  }
}

describeDoorbellContract('NATS JetStream', async () => {
  const server = await startNats();
  return {
    server,
    make: (uri, options) => natsDoorbell({ uri, ...options }),
    putForeign: (remodel, body) =>
      withConnection(server.port, async (connection) => {
        await jetstream(connection).publish(`godwit.remodel.${remodel}`, body);
      }),
    held: (remodel) =>
      withConnection(server.port, async (connection) => {
        const subject = `godwit.remodel.${remodel}`;
        const manager = await jetstreamManager(connection);
        const { state } = await manager.streams.info('GODWIT_REMODEL', { subjects_filter: subject });
        return state.subjects?.[subject] ?? 0;
      }),
    settled: async () => {},
  };
});

describe('NATS only', () => {
  async function start(options: NatsOptions = {}) {
    const server = await startNats(options);
    onTestFinished(() => server.stop());
    return server;
  }

  test('the stream is on disk, and made anew when it was deleted', async () => {
    const server = await start();
    const bell = natsDoorbell({ uri: server.uri });
    onTestFinished(() => bell.close());
    const heard: string[] = [];
    const stop = new AbortController();
    const listening = bell.listen('gone', async (ids) => void heard.push(...ids), stop.signal);
    await bell.ring('gone', ['before'], never);
    await waitFor(() => heard.includes('before'), { timeoutMs: 30_000, what: 'the first ring' });
    await withConnection(server.port, async (connection) => {
      const manager = await jetstreamManager(connection);
      const { config } = await manager.streams.info('GODWIT_REMODEL');
      expect(config).toMatchObject({ storage: 'file', retention: 'workqueue', subjects: ['godwit.remodel.*'] });
      await manager.streams.delete('GODWIT_REMODEL');
    });
    await bell.ring('gone', ['after'], never);
    await waitFor(() => heard.includes('after'), { timeoutMs: 60_000, what: 'the second ring' });
    stop.abort();
    await listening;
  });

  test('a server that refuses says so in our codes, and no password is shown', async () => {
    const server = await start({
      credentials: { user: 'godwit', password: 's3cret@/x' },
      config: `authorization { users: [
        { user: godwit, password: "s3cret@/x" }
        { user: stranger, password: "s3cret+s", permissions: { publish: "nothing", subscribe: "_INBOX.>" } }
      ] }`,
    });
    const bell = natsDoorbell({ uri: server.uri });
    await bell.ring('mine', ['x'], never);
    await bell.close();
    const login = (user: string, password: string) =>
      `nats://${user}:${encodeURIComponent(password)}@127.0.0.1:${server.port}`;
    await expectRefused(natsDoorbell({ uri: login('godwit', 'wr0ng@/pass') }), 'GW2003', 'wr0ng@/pass');
    await expectRefused(natsDoorbell({ uri: login('stranger', 's3cret+s') }), 'GW2004', 's3cret+s');
  });

  test('a token logs in', async () => {
    const server = await start({ config: 'authorization { token: "t0ken/x" }' });
    const bell = natsDoorbell({ uri: `nats://${encodeURIComponent('t0ken/x')}@127.0.0.1:${server.port}` });
    await bell.ring('token', ['x'], never);
    await bell.close();
    await expectRefused(natsDoorbell({ uri: `nats://wr0ng-t0ken@127.0.0.1:${server.port}` }), 'GW2003', 'wr0ng-t0ken');
  });
});
