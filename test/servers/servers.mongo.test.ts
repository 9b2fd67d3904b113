import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { createInterface } from 'node:readline';
import { MongoClient } from 'mongodb';
import { afterEach, beforeAll, describe, expect, test, vi } from 'vitest';
import { findMongod, type ReplicaSet, startReplicaSet, waitFor } from './index.ts';

vi.setConfig({ testTimeout: 60_000, hookTimeout: 180_000 });

beforeAll(async () => {
  await findMongod(); // the first time it may have to be fetched
});

function alive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}

function pidsOf(set: ReplicaSet): number[] {
  return [...set.members.map((member) => member.pid), set.watchdogPid].filter((pid) => pid !== undefined);
}

async function roundTrip(uri: string, serverSelectionTimeoutMS = 10_000): Promise<number> {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS });
  try {
    const notes = client.db('round').collection('trips');
    await notes.insertOne({ at: 1 });
    return await notes.countDocuments();
  } finally {
    await client.close();
  }
}

test('a set of one starts, works, and leaves nothing behind', async () => {
  const set = await startReplicaSet();
  const pids = pidsOf(set);
  expect(pids).toHaveLength(2);
  expect(pids.every(alive)).toBe(true);
  expect(await roundTrip(set.uri)).toBe(1);

  // Transactions and change streams are why it must be a replica set.
  const client = await set.client();
  await client.db('a').createCollection('b');
  await client.withSession((session) =>
    session.withTransaction(() => client.db('a').collection('b').insertOne({}, { session })),
  );
  await client.db('a').collection('b').watch().close();

  await set.stop();
  expect(pids.filter(alive)).toEqual([]);
  expect(existsSync(set.dir)).toBe(false);
});

test('a set of one steps down and takes over again', async () => {
  await using set = await startReplicaSet({ name: 'solo' });
  await set.stepDown();
  expect(await roundTrip(set.uri)).toBe(1);
});

test('a set of three survives a step-down, a killed and a suspended primary, and a restart', async () => {
  const set = await startReplicaSet({ members: 3 });
  const pids = new Set(pidsOf(set));
  try {
    const client = await set.client();
    const notes = client.db('a').collection('notes');
    await notes.insertOne({ step: 1 }, { writeConcern: { w: 3 } });
    const first = await set.primary();
    expect(await set.secondaries()).toHaveLength(2);

    await set.stepDown();
    const second = await set.primary();
    expect(second).not.toBe(first);
    await notes.insertOne({ step: 2 });

    await second.kill();
    expect(second.running).toBe(false);
    expect(second.pid).toBeUndefined();
    const third = await set.primary();
    expect(third).not.toBe(second);
    await notes.insertOne({ step: 3 });

    await second.restart();
    if (second.pid !== undefined) pids.add(second.pid);
    await set.ready();
    expect(await set.secondaries()).toContain(second);

    await second.restart(); // while it runs
    if (second.pid !== undefined) pids.add(second.pid);
    await set.ready();

    third.suspend();
    const fourth = await set.primary();
    expect(fourth).not.toBe(third);
    third.resume();
    await set.ready();
    await notes.insertOne({ step: 4 }, { writeConcern: { w: 3 } });
    expect(await notes.countDocuments()).toBe(4);
  } finally {
    await set.stop();
  }
  expect([...pids].filter(alive)).toEqual([]);
});

test('members can be given a config of their own', async () => {
  await using set = await startReplicaSet({ members: 2, memberConfig: [{}, { priority: 0, hidden: true }] });
  const config = await (await set.client()).db('admin').command({ replSetGetConfig: 1 });
  expect(config['config'].members[1]).toMatchObject({ priority: 0, hidden: true });
});

test('fail points can be allowed, parameters be set', async () => {
  await using set = await startReplicaSet({ testCommands: true, setParameter: { ttlMonitorSleepSecs: 7 } });
  const admin = (await set.client()).db('admin');
  await admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
  expect(await admin.command({ getParameter: 1, ttlMonitorSleepSecs: 1 })).toMatchObject({ ttlMonitorSleepSecs: 7 });
});

test('with auth the right password is needed', async () => {
  await using set = await startReplicaSet({ members: 2, auth: { user: 'ro:ot', password: 'p@ss/word' } });
  expect(await roundTrip(set.uri)).toBe(1);
  await set.stepDown(); // the members trust each other, and so do we
  await expect(roundTrip(set.uri.replace('p%40ss', 'guess'))).rejects.toMatchObject({ code: 18 });
  await expect(roundTrip(set.uri.replace(/\/\/.*@/, '//').replace(/authSource=admin/, ''))).rejects.toMatchObject({
    code: 13,
  });
});

describe('tls', () => {
  test('a client certificate logs in', async () => {
    const auth = { user: 'root', password: 'secret' };
    await using set = await startReplicaSet({ members: 2, auth, tls: { mode: 'requireTLS', x509: true } });
    expect(set.tls?.clientSubject).toBe('CN=godwit,O=Godwit test clients');
    expect(await roundTrip(set.uri)).toBe(1);
    const x509Uri = set.tls?.x509Uri ?? '';
    expect(await roundTrip(x509Uri)).toBe(2);
    const client = await new MongoClient(x509Uri).connect();
    const status = await client.db('admin').command({ connectionStatus: 1 });
    await client.close();
    expect(status['authInfo'].authenticatedUsers).toEqual([{ user: set.tls?.clientSubject, db: '$external' }]);
  });

  test('plain connections are refused', async () => {
    await using set = await startReplicaSet({ tls: { mode: 'requireTLS' } });
    expect(set.tls?.x509Uri).toBeUndefined();
    expect(await roundTrip(set.uri)).toBe(1);
    const plain = new MongoClient(`mongodb://${set.members[0]?.address}/`, { serverSelectionTimeoutMS: 1000 });
    await expect(plain.connect()).rejects.toThrow();
    await plain.close();
  });
});

describe('behind proxies', () => {
  test('a cut makes the driver connect anew', async () => {
    await using set = await startReplicaSet({ proxied: true });
    const [member] = set.members;
    expect(member?.advertisedPort).toBe(member?.proxy?.port);
    expect(member?.advertisedPort).not.toBe(member?.port);
    const client = await set.client();
    let created = 0;
    client.on('connectionCreated', () => created++);
    const notes = client.db('a').collection('notes');
    await notes.insertOne({ step: 1 });
    const before = created;
    member?.proxy?.cut();
    expect(member?.proxy?.connections).toBe(0);
    // Not simply awaited: writing to a socket that was reset a moment ago, driver 7.8 throws the bare
    // ECONNRESET (Connection.writeCommand, waiting for `drain`), which it does not retry.
    const again = { timeoutMs: 10_000, what: 'the driver to connect anew' };
    await waitFor(() => notes.updateOne({ step: 2 }, { $set: { step: 2 } }, { upsert: true }), again);
    expect(await notes.countDocuments()).toBe(2);
    expect(created).toBeGreaterThan(before);
  });

  test('connections can be blocked, slowed down and frozen', async () => {
    await using set = await startReplicaSet({ proxied: true });
    const proxy = (await set.primary()).proxy;
    if (proxy === undefined) throw new Error('no proxy');
    const client = await set.client();
    const pingMs = async (): Promise<number> => {
      const start = performance.now();
      await client.db('admin').command({ ping: 1 });
      return performance.now() - start;
    };
    await pingMs();

    proxy.delay(150);
    expect(await pingMs()).toBeGreaterThan(295);
    proxy.delay(0);

    proxy.blackhole();
    let answered = false;
    const pending = pingMs().then(() => (answered = true));
    await new Promise((resolve) => setTimeout(resolve, 300));
    expect(answered).toBe(false);
    proxy.unblackhole();
    await pending;

    proxy.block();
    await expect(roundTrip(set.uri, 700)).rejects.toThrow();
    proxy.unblock();
    await waitFor(() => pingMs(), { timeoutMs: 10_000, what: 'the driver to be back' });
  });

  test('a primary that is cut off is replaced', async () => {
    await using set = await startReplicaSet({ members: 3, proxied: true });
    const old = await set.primary();
    // Drivers and the others' heartbeats no longer reach it; it still reaches the others by their proxies.
    old.proxy?.block();
    await waitFor(async () => (await set.primary()) !== old, { timeoutMs: 30_000, what: 'another primary' });
    old.proxy?.unblock();
    await set.ready();
    expect(await roundTrip(set.uri)).toBe(1);
  });
});

describe('when the process that started them ends', () => {
  const hosts: ChildProcess[] = [];
  afterEach(() => {
    for (const host of hosts.splice(0)) host.kill('SIGKILL');
  });

  async function startHost(tailCode: string): Promise<{ host: ChildProcess; pids: number[]; dir: string }> {
    const code = `
      import { startReplicaSet } from ${JSON.stringify(new URL('./index.ts', import.meta.url).href)};
      const set = await startReplicaSet();
      console.log(JSON.stringify({ dir: set.dir, pids: [set.members[0].pid, set.watchdogPid] }));
      ${tailCode}`;
    const host = spawn(process.execPath, ['--import', 'tsx', '--input-type=module', '-e', code], {
      stdio: ['ignore', 'pipe', 'inherit'],
    });
    hosts.push(host);
    const [line] = (await once(createInterface({ input: host.stdout }), 'line')) as [string];
    return { host, ...(JSON.parse(line) as { pids: number[]; dir: string }) };
  }

  const endings = [
    { how: 'by SIGKILL', tail: 'setInterval(() => {}, 1000);', signal: 'SIGKILL' },
    { how: 'by SIGTERM', tail: 'setInterval(() => {}, 1000);', signal: 'SIGTERM' },
    { how: 'without stopping them', tail: '', signal: undefined },
  ] as const;
  test.each(endings)('$how, they end too', async ({ tail, signal }) => {
    const { host, pids, dir } = await startHost(tail);
    const exited = host.exitCode !== null || host.signalCode !== null ? undefined : once(host, 'exit');
    if (signal !== undefined) {
      expect(pids.every(alive)).toBe(true);
      host.kill(signal);
    }
    await exited;
    expect(host.signalCode).toBe(signal ?? null);
    await waitFor(() => !pids.some(alive) && !existsSync(dir), {
      timeoutMs: 5000,
      what: 'processes and directory to go',
    });
  });
});
