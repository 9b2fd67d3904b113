import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import type { Timestamp } from 'bson';
import type { Db, Document, MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type Member, type ReplicaSet, startReplicaSet, waitFor } from '../../../../test/servers/index.ts';
import { documentsAsOf } from '../../../../test/tools/as-of.ts';
import { Cluster } from '../cluster.ts';
import { timestampOf } from '../position.ts';
import { watchCatchUp } from './catch-up.ts';
import { freezeSecondary } from './freeze.ts';
import type { FrozenMember } from './frozen-member.ts';
import { openLock } from './journal.ts';
import { releaseLeftLock } from './left-lock.ts';
import { judgeSecondaries } from './pick-member.ts';

const never = new AbortController().signal;
const DOCUMENTS = 3_000;
const HIDDEN = 2;

let set: ReplicaSet;
let cluster: Cluster;
let dir = '';
let journal = '';
let events: { kind: string; data: Record<string, unknown> }[] = [];
let held: FrozenMember | undefined;

beforeAll(async () => {
  set = await startReplicaSet({
    members: 3,
    name: 'cold',
    auth: { user: 'root', password: 'secret' },
    memberConfig: [{ priority: 2 }, {}, { priority: 0, hidden: true }],
  });
  cluster = await Cluster.connect('source', set.uri);
  const db = (await set.client()).db('shop');
  await db.collection('orders').insertMany(many(0, DOCUMENTS));
  await db.createCollection('ring', { capped: true, size: 200_000, max: 200 });
  // A majority may hold them without the hidden member, which must have begun to follow.
  await (await set.client()).db('admin').command({ appendOplogNote: 1, data: {}, writeConcern: { w: 3 } });
});
afterAll(async () => {
  await cluster?.close();
  await set?.stop();
});
beforeEach(async () => {
  dir = mkdtempSync(join(tmpdir(), 'godwit-freeze-'));
  journal = join(dir, 'freeze.journal');
  events = [];
  // The test before may have held it: what is behind is not chosen.
  const level = async () => (await judgeSecondaries(cluster, hidden().address, never)).every(({ fit }) => fit);
  await waitFor(level, { timeoutMs: 60_000, what: 'the hidden member to be level' });
});
afterEach(async () => {
  const last = held;
  held = undefined;
  await last?.release('the test is over');
  rmSync(dir, { recursive: true });
});

function many(from: number, count: number): Document[] {
  return Array.from({ length: count }, (_, i) => ({ _id: from + i, n: 0, pad: 'x'.repeat(300) }));
}

async function freeze(more: { member?: string; leaseMs?: number } = {}): Promise<FrozenMember> {
  held = await freezeSecondary({
    cluster,
    journal,
    signal: never,
    onEvent: (kind, data) => events.push({ kind, data }),
    ...more,
  });
  return held;
}

async function isLocked(member: Member): Promise<boolean> {
  const reply = await (await member.client()).db('admin').command({ currentOp: 1, 'command.fsync': { $exists: true } });
  return reply['fsyncLock'] === true;
}

function hidden(): Member {
  return set.members[HIDDEN] as Member;
}

/** Somebody who writes all the time: documents, transactions, and now and then the structure. */
async function whileWriting<T>(work: (db: Db) => Promise<T>): Promise<T> {
  const client = await set.client();
  const db = client.db('shop');
  let going = true;
  const writers = Array.from({ length: 3 }, async (_, w) => {
    for (let i = w; going; i += 3) {
      const orders = db.collection<Document>('orders');
      await orders.updateOne({ _id: (i * 7919) % DOCUMENTS } as Document, { $inc: { n: 1 }, $set: { at: i } });
      await orders.insertOne({ _id: `new-${w}-${i}-${Date.now()}` } as Document);
      if (i % 9 === 0) await orders.deleteOne({ _id: { $type: 'string' } } as Document);
      if (i % 5 === 0) await db.collection('ring').insertOne({ i });
      if (i % 40 === 0) {
        await db.collection(`wave${w}`).insertOne({ i });
        await db.collection(`wave${w}`).drop();
      }
      if (i % 11 === 0)
        await client.withSession((session) =>
          session.withTransaction(async () => {
            for (const _id of [1, 2, 3]) await orders.updateOne({ _id } as Document, { $inc: { n: 1 } }, { session });
          }),
        );
    }
  });
  try {
    return await work(db);
  } finally {
    going = false;
    await Promise.all(writers);
  }
}

const documents = (client: MongoClient, name: string, at?: Timestamp): Promise<string[]> =>
  documentsAsOf(client, 'shop', name, { ...(at ? { at } : {}), natural: name === 'ring' });

describe('a member under load', () => {
  test('stands still at exactly its time point, is let go, and catches up', async () => {
    await whileWriting(async (db) => {
      const frozen = await freeze();
      expect(frozen.address).toBe(hidden().address);
      expect(await isLocked(hidden())).toBe(true);
      const direct = await hidden().client();
      const before = await documents(direct, 'orders');
      const ring = await documents(direct, 'ring');

      // Majority writes go on, and nothing of them comes here.
      for (let i = 0; i < 20; i += 1)
        await db
          .collection<Document>('orders')
          .insertOne({ _id: `majority-${i}` } as Document, { writeConcern: { w: 'majority' } });
      await frozen.assertHeld();
      expect(await documents(direct, 'orders')).toEqual(before);
      expect(await documents(direct, 'ring')).toEqual(ring);

      // What the primary held at that time, by its own history.
      const primary = await (await set.primary()).client();
      const then = await documents(primary, 'orders', timestampOf(frozen.timePoint));
      expect(before.length).toBeGreaterThan(DOCUMENTS / 2);
      expect(before).toEqual(then);
      expect(await documents(direct, 'orders', timestampOf(frozen.timePoint))).toEqual(then);
      expect(await documents(primary, 'orders')).not.toEqual(then);

      // A login while it is locked, and a read over a connection of ours.
      const late = await frozen.connect();
      expect((await late.run({ count: 'orders', $readPreference: { mode: 'nearest' }, $db: 'shop' }))['n']).toBe(
        before.length,
      );
      late.close();

      await frozen.release('the test has seen enough');
      expect(await isLocked(hidden())).toBe(false);
      expect(openLock(journal)).toBeUndefined();
    });
    const looks: { done: boolean }[] = [];
    await watchCatchUp(cluster, hidden().address, AbortSignal.timeout(60_000), (look) => looks.push(look));
    expect(looks.at(-1)?.done).toBe(true);
    expect(events.map(({ kind }) => kind)).toEqual(['member-frozen', 'member-released']);
  });

  test('is watched over by a process that shows no secret', async () => {
    await freeze();
    const shown = readFileSync(`/proc/${openLock(journal)?.pid}/cmdline`, 'utf8');
    expect(shown).toContain('watchdog');
    expect(shown).not.toContain('secret');
    expect(readFileSync(journal, 'utf8')).not.toContain('secret');
  });

  test('is not the last secondary that readers can reach', async () => {
    const visible = set.members[1]?.address;
    await expect(freeze({ member: visible })).rejects.toMatchObject({
      code: 'GW2007',
      details: { members: [`${visible}: it is the last secondary that readers can reach`] },
    });
  });
});

describe('what ends', () => {
  test('a watchdog that is killed: the lock is taken away, and the freeze is known to be lost', async () => {
    const frozen = await freeze();
    process.kill(openLock(journal)?.pid ?? 0, 'SIGKILL');
    await waitFor(async () => !(await isLocked(hidden())), { timeoutMs: 20_000, what: 'the member to be unlocked' });
    expect(frozen.lost).toMatch(/watchdog ended/);
    await expect(frozen.assertHeld()).rejects.toMatchObject({ code: 'GW3003' });
    await frozen.release('twice');
    expect(openLock(journal)).toBeUndefined();
  });

  test('an unlock by a person: the freeze is known to be lost, and a later lock of theirs is left alone', async () => {
    const frozen = await freeze({ leaseMs: 2_000 });
    const admin = (await hidden().client()).db('admin');
    await admin.command({ fsyncUnlock: 1 });
    await waitFor(() => frozen.lost !== undefined, { timeoutMs: 20_000, what: 'the loss to be noticed' });
    await admin.command({ fsync: 1, lock: true });
    try {
      await frozen.release('twice');
      expect(await releaseLeftLock(cluster, journal, { atOnce: true, why: 'a test', signal: never })).toBeUndefined();
      expect(await isLocked(hidden())).toBe(true);
      await expect(freeze({ member: hidden().address })).rejects.toMatchObject({
        code: 'GW2007',
        details: { members: [`${hidden().address}: its writes are stopped already, by somebody else`] },
      });
      // With one of three locked, each of the others is needed.
      const verdicts = await judgeSecondaries(cluster, undefined, never);
      expect(verdicts.filter(({ fit }) => fit)).toEqual([]);
    } finally {
      await admin.command({ fsyncUnlock: 1 });
    }
  });

  test('a Godwit that is killed or stands still: unlocked within the lease', async () => {
    const leaseMs = 3_000;
    for (const signal of ['SIGKILL', 'SIGSTOP'] as const) {
      const holder = await startHolder(leaseMs);
      expect(await isLocked(hidden())).toBe(true);
      const began = Date.now();
      // The whole group, as a terminal that is closed or a supervisor would: the watchdog is not of it.
      process.kill(-(holder.pid as number), signal);
      await waitFor(async () => !(await isLocked(hidden())), { timeoutMs: 20_000, what: 'the member to be unlocked' });
      // Pings are a quarter of the lease apart, and to unlock takes a moment on a busy machine.
      expect(Date.now() - began, signal).toBeLessThan(leaseMs + 3_000);
      holder.kill('SIGKILL');
      await waitFor(() => openLock(journal) === undefined, { timeoutMs: 5_000, what: 'the journal to say so' });
    }
  });

  test('Godwit and its watchdog both: the next process unlocks by the journal', async () => {
    const holder = await startHolder(1_000);
    const left = openLock(journal);
    expect(left).toMatchObject({ address: hidden().address, certain: true });
    // First the watchdog is made deaf, so that it does not notice.
    process.kill(left?.pid ?? 0, 'SIGSTOP');
    holder.kill('SIGKILL');
    await once(holder, 'exit');
    process.kill(left?.pid ?? 0, 'SIGKILL');
    expect(await isLocked(hidden())).toBe(true);
    const released = await releaseLeftLock(cluster, journal, { atOnce: false, why: 'a test', signal: never });
    expect(released).toEqual({ address: hidden().address, unlocked: true, others: 0 });
    expect(await isLocked(hidden())).toBe(false);
  });

  test('another member that goes down: the frozen one is needed and goes on', async () => {
    const frozen = await freeze();
    const other = set.members[1] as Member;
    await other.kill('SIGTERM');
    try {
      await waitFor(() => frozen.lost !== undefined, { timeoutMs: 30_000, what: 'the loss to be noticed' });
      expect(frozen.lost).toMatch(/without it 1 member would be left to acknowledge majority writes/);
      await waitFor(async () => !(await isLocked(hidden())), { timeoutMs: 20_000, what: 'the member to be unlocked' });
      const orders = (await set.client()).db('shop').collection('orders');
      await orders.insertOne({ after: 'the loss' }, { writeConcern: { w: 'majority', wtimeout: 20_000 } });
    } finally {
      await other.start();
      await set.ready();
    }
  });
});

test('over TLS, with a client certificate', async () => {
  await using secure = await startReplicaSet({ members: 3, name: 'tls', tls: { mode: 'requireTLS', x509: true } });
  const source = await Cluster.connect('source', secure.tls?.x509Uri ?? '');
  try {
    const frozen = await freezeSecondary({ cluster: source, journal, signal: never, onEvent: () => undefined });
    const member = secure.members.find(({ address }) => address === frozen.address) as Member;
    expect(await isLocked(member)).toBe(true);
    await frozen.assertHeld();
    await frozen.release('seen');
    expect(await isLocked(member)).toBe(false);
  } finally {
    await source.close();
  }
});

test('a member that takes its log from the chosen one takes it from the primary', async () => {
  await using chain = await startReplicaSet({ members: 3, name: 'chain', memberConfig: [{ priority: 2 }, {}, {}] });
  const source = await Cluster.connect('source', chain.uri);
  const [primary, middle, end] = chain.members as [Member, Member, Member];
  const followed = async (): Promise<string> =>
    (await (await end.client()).db('admin').command({ replSetGetStatus: 1 }))['syncSourceHost'];
  const orders = (await chain.client()).db('shop').collection('orders');
  try {
    const admin = (await end.client()).db('admin');
    await waitFor(
      async () => {
        await orders.insertOne({ keeps: 'the log moving' });
        if ((await followed()) === middle.address) return true;
        // Asked anew each time: a member may choose for itself once more after it was told, and forget it.
        await admin.command({ replSetSyncFrom: middle.address }).catch(() => undefined);
        return false;
      },
      { timeoutMs: 30_000, what: 'it to be followed' },
    );
    held = await freezeSecondary({
      cluster: source,
      member: middle.address,
      journal,
      signal: never,
      onEvent: () => undefined,
    });
    // While nothing is written it may follow nobody.
    await waitFor(
      async () => {
        await orders.insertOne({ keeps: 'the log moving' });
        return (await followed()) === primary.address;
      },
      { timeoutMs: 30_000, what: 'it to follow the primary' },
    );
    await orders.insertOne({ acknowledged: 'by two of three' }, { writeConcern: { w: 'majority', wtimeout: 10_000 } });
  } finally {
    await held?.release('seen');
    await source.close();
  }
});

test('the log is about to forget what the member has to catch up with: it goes on', { timeout: 240_000 }, async () => {
  await using small = await startReplicaSet({ members: 3, name: 'small', oplogSizeMB: 16 });
  const source = await Cluster.connect('source', small.uri);
  try {
    const frozen = await freezeSecondary({ cluster: source, journal, signal: never, onEvent: () => undefined });
    const client = await small.client();
    const pad = 'n'.repeat(1024 * 1024);
    await waitFor(
      async () => {
        await client.db('busy').collection('c').insertMany([{ pad }, { pad }]);
        // The log is kept for as long as a recovery would need it: until the next checkpoint.
        await client.db('admin').command({ fsync: 1 });
        return frozen.lost;
      },
      { timeoutMs: 120_000, what: 'the loss to be noticed' },
    );
    expect(frozen.lost).toMatch(/is about to forget what comes next/);
    // It was let go in time: it needs no copy of everything.
    await watchCatchUp(source, frozen.address, AbortSignal.timeout(60_000), () => undefined);
    const member = small.members.find(({ address }) => address === frozen.address) as Member;
    expect(await member.hello()).toMatchObject({ secondary: true });
  } finally {
    await source.close();
  }
});

/** A process that freezes the hidden member and holds it. */
async function startHolder(leaseMs: number): Promise<ChildProcess> {
  const path = fileURLToPath(new URL('./fixtures/hold.ts', import.meta.url));
  const holder = spawn(process.execPath, ['--import', 'tsx', path, journal, String(leaseMs)], {
    stdio: ['ignore', 'pipe', 'inherit'],
    detached: true,
    env: { ...process.env, GODWIT_TEST_URI: set.uri },
  });
  await once(holder.stdout as NodeJS.ReadableStream, 'data');
  return holder;
}
