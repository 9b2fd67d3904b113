import { AckPolicy, jetstream, jetstreamManager } from '@nats-io/jetstream';
import { connect, type NatsConnection, nanos } from '@nats-io/transport-node';
import { describe, expect, onTestFinished, test } from 'vitest';
import { describeDoorbellContract, expectRefused } from '../../../test/contract/doorbell.ts';
import { type NatsOptions, startNats } from '../../../test/servers/nats.ts';
import { startTcpProxy } from '../../../test/servers/tcp-proxy.ts';
import { waitFor } from '../../../test/servers/wait-for.ts';
import { natsDoorbell } from './index.ts';
import { Link } from './link.ts';
import { ensureStream } from './stream.ts';

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
    // Servers before 2.10.14 (nats-server#5305) mislay one message given back while nobody pulls, until its wait is over.
    keptBack: 1,
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

  test('the privileges that DESIGN.md names are enough', async () => {
    const publish = [
      'godwit.remodel.*',
      '$JS.API.STREAM.INFO.GODWIT_REMODEL',
      '$JS.API.STREAM.CREATE.GODWIT_REMODEL',
      '$JS.API.CONSUMER.>',
      '$JS.ACK.GODWIT_REMODEL.>',
    ];
    const server = await start({
      credentials: { user: 'modest', password: 'x' },
      config: `authorization { users: [ { user: modest, password: x, permissions: {
        publish: ${JSON.stringify(publish)}, subscribe: ["_INBOX.>"] } } ] }`,
    });
    const bell = natsDoorbell({ uri: server.uri });
    onTestFinished(() => bell.close());
    const heard: string[] = [];
    const stop = new AbortController();
    const listening = bell.listen('mine', async (ids) => void heard.push(...ids), stop.signal);
    await bell.ring('mine', ['x'], never);
    await waitFor(() => heard.includes('x'), { timeoutMs: 30_000, what: 'the ring' });
    stop.abort();
    await listening;
    expect(bell.counts).toMatchObject({ answered: 1, faults: 0 });
  });

  test('an answer slower than the acknowledgement wait is not doubled', async () => {
    const server = await start();
    const bell = natsDoorbell({ uri: server.uri, ackWaitMs: 600 });
    onTestFinished(() => bell.close());
    const stop = new AbortController();
    const heard: string[] = [];
    let finish = () => {};
    const finished = new Promise<void>((resolve) => {
      finish = resolve;
    });
    const listening = bell.listen(
      'slow',
      async (ids) => {
        heard.push(...ids);
        await finished;
      },
      stop.signal,
    );
    await bell.ring('slow', ['one', 'two'], never);
    await waitFor(() => heard.length > 0, { timeoutMs: 30_000, what: 'the answer to begin' });
    // How time passes for the server: a message that nobody says anything about comes for the third time.
    await bell.ring('control', ['x'], never);
    await withConnection(server.port, async (connection) => {
      const manager = await jetstreamManager(connection);
      await manager.consumers.add('GODWIT_REMODEL', {
        durable_name: 'control',
        filter_subject: 'godwit.remodel.control',
        ack_policy: AckPolicy.Explicit,
        ack_wait: nanos(600),
      });
      const control = await jetstream(connection).consumers.get('GODWIT_REMODEL', 'control');
      for (let times = 0; times < 3; ) times = (await control.next({ expires: 30_000 }))?.info.deliveryCount ?? times;
    });
    finish();
    await waitFor(() => bell.counts.answered === 2, { timeoutMs: 30_000, what: 'both to be answered' });
    stop.abort();
    await listening;
    expect([...heard].sort()).toEqual(['one', 'two']);
  });

  test('what is on its way to a listener that stops comes to the next at once', async () => {
    const server = await start();
    const proxy = await startTcpProxy({ port: server.port });
    onTestFinished(() => proxy.close());
    const make = (port: number) => {
      const bell = natsDoorbell({ uri: server.uri.replace(String(server.port), String(port)), ackWaitMs: 600_000 });
      onTestFinished(() => bell.close());
      return bell;
    };
    const ids = Array.from({ length: 100 }, (_, i) => `id-${i}`);
    const heard: string[] = [];
    const stop = new AbortController();
    const listening = make(proxy.port).listen('far', async (some) => void heard.push(...some), stop.signal);
    const bell = make(server.port);
    await bell.ring('far', ['first'], never);
    await waitFor(() => heard.length === 1, { timeoutMs: 30_000, what: 'the first ring' });
    proxy.delay(500);
    await bell.ring('far', ids, never);
    await withConnection(server.port, async (connection) => {
      const manager = await jetstreamManager(connection);
      const given = async () => (await manager.consumers.info('GODWIT_REMODEL', 'godwit-far')).num_ack_pending;
      await waitFor(async () => (await given()) >= ids.length, { timeoutMs: 30_000, what: 'all to be on their way' });
    });
    stop.abort();
    await listening;

    const next: string[] = [];
    const over = new AbortController();
    const again = bell.listen('far', async (some) => void next.push(...some), over.signal);
    // One may stay with the server (nats-server#5305).
    const comes = () => new Set([...heard, ...next]).size >= ids.length;
    await waitFor(comes, { timeoutMs: 30_000, what: 'all to come again' });
    over.abort();
    await again;
    expect(next.length).toBeGreaterThan(0);
  });

  test('many that come first at once make one stream between them', async () => {
    const server = await start();
    const links = await Promise.all(
      Array.from({ length: 20 }, async () => {
        const connection = await connect({ servers: `127.0.0.1:${server.port}` });
        onTestFinished(() => connection.close());
        return new Link(connection, 'NATS');
      }),
    );
    for (let time = 0; time < 500; time += 1) {
      const [manager] = await Promise.all(links.map(ensureStream));
      expect(await manager?.streams.delete('GODWIT_REMODEL')).toBe(true);
    }
  });

  test("somebody else's stream that takes our subjects is an error, not ours to use", async () => {
    const server = await start();
    await withConnection(server.port, async (connection) => {
      await (await jetstreamManager(connection)).streams.add({ name: 'THEIRS', subjects: ['godwit.>'] });
    });
    const bell = natsDoorbell({ uri: server.uri });
    onTestFinished(() => bell.close());
    await expect(bell.ring('mine', ['x'], never)).rejects.toMatchObject({
      code: 'GW1001',
      message: expect.stringMatching(/overlap/),
    });
  });

  test('a token logs in', async () => {
    const server = await start({ config: 'authorization { token: "t0ken/x" }' });
    const bell = natsDoorbell({ uri: `nats://${encodeURIComponent('t0ken/x')}@127.0.0.1:${server.port}` });
    await bell.ring('token', ['x'], never);
    await bell.close();
    await expectRefused(natsDoorbell({ uri: `nats://wr0ng-t0ken@127.0.0.1:${server.port}` }), 'GW2003', 'wr0ng-t0ken');
  });
});
