/**
 * `run --freeze`: what the target holds when the copy is complete is what the
 * source held at the time point, by the source's own history; then the log
 * does the rest.
 */
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type Document, Int32, type MongoClient, Timestamp } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { armFailpoint } from '../../../src/kernel/failpoint.ts';
import type { MigrateOptions, RunEvent } from '../../../src/routes/migrate/api.ts';
import { check, command, run, status } from '../../../src/routes/migrate/index.ts';
import { type Member, type ReplicaSet, startReplicaSet, waitFor } from '../../servers/index.ts';
import { documentsAsOf } from '../../tools/as-of.ts';
import { compareClusters } from '../../tools/compare-clusters.ts';
import { rebuildAsOf } from '../../tools/rebuild-as-of.ts';
import { PLAIN } from './plain-options.ts';

const DOCUMENTS = 6_000;

let source: ReplicaSet;
let target: ReplicaSet;
/** Where the source of an earlier time is made anew. */
let scratch: ReplicaSet;
let state: string;

beforeAll(async () => {
  [source, target, scratch] = await Promise.all([
    startReplicaSet({ name: 'from', members: 3, memberConfig: [{ priority: 2 }, {}, { priority: 0, hidden: true }] }),
    startReplicaSet({ name: 'to' }),
    startReplicaSet({ name: 'then' }),
  ]);
  state = mkdtempSync(join(tmpdir(), 'godwit-freeze-'));
});
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop(), scratch?.stop()]);
  rmSync(state, { recursive: true, force: true });
});

const never = new AbortController().signal;
const hidden = (): Member => source.members[2] as Member;

function optionsOf(name: string, more: Partial<MigrateOptions> = {}): MigrateOptions {
  return {
    ...PLAIN,
    from: source.uri,
    to: target.uri,
    run: name,
    state,
    include: [name],
    freeze: 'secondary',
    chunkMb: 0.2,
    ...more,
  };
}

async function lay(name: string): Promise<void> {
  const db = (await source.client()).db(name);
  const docs = Array.from({ length: DOCUMENTS }, (_, i) => ({ _id: i, n: new Int32(0), pad: 'x'.repeat(400) }));
  await db.collection<Document>('orders').insertMany(docs as Document[]);
  await db.collection('orders').createIndex({ n: 1 });
  await db.createCollection('ring', { capped: true, size: 100_000, max: 100 });
  await (await source.client()).db('admin').command({ appendOplogNote: 1, data: {}, writeConcern: { w: 3 } });
}

/** Writes documents, transactions and structure until stopped. */
function writeTo(client: MongoClient, name: string): { readonly writes: number; stop(): Promise<number> } {
  const db = client.db(name);
  let going = true;
  let writes = 0;
  const work = Promise.all(
    [0, 1, 2].map(async (w) => {
      for (let i = w; going; i += 3) {
        const orders = db.collection<Document>('orders');
        await orders.updateOne({ _id: (i * 7919) % DOCUMENTS } as Document, { $inc: { n: 1 }, $set: { at: i } });
        await orders.insertOne({ _id: `new-${i}` } as Document);
        if (i % 7 === 0) await orders.deleteOne({ _id: (i * 31) % DOCUMENTS } as Document);
        if (i % 5 === 0) await db.collection('ring').insertOne({ i });
        if (i % 11 === 0)
          await client.withSession((session) =>
            session.withTransaction(async () => {
              for (const _id of [1, 2, 3])
                await orders.updateOne({ _id } as Document, { $push: { by: i } } as Document, { session });
            }),
          );
        if (i % 60 === 0) {
          await db.collection(`wave${w}`).insertOne({ i });
          await db.collection(`wave${w}`).createIndex({ i: 1 });
          await db.collection(`wave${w}`).drop();
        }
        writes += 1;
      }
    }),
  );
  return {
    get writes() {
      return writes;
    },
    stop: async () => {
      going = false;
      await work;
      return writes;
    },
  };
}

async function isLocked(member: Member): Promise<boolean> {
  return (await (await member.client()).db('admin').command({ currentOp: 1, $ownOps: true }))['fsyncLock'] === true;
}

/** What a member has applied last, by its own word and by its own log. */
async function appliedLast(member: Member): Promise<Timestamp[]> {
  const client = await member.client();
  const told = await client.db('admin').command({ replSetGetStatus: 1 });
  const log = client.db('local').collection('oplog.rs', { readPreference: 'nearest' });
  const last = await log.find().sort({ $natural: -1 }).limit(1).next();
  return [told['optimes'].appliedOpTime.ts, last?.['ts']];
}

/** A look at the hidden member in the middle of the copy. */
interface Look {
  readonly locked: boolean;
  readonly applied: Timestamp[];
  readonly writes: number;
}

test('under load, a locked secondary is copied at exactly its last operation, let go, and catches up', async () => {
  const name = 'exact';
  await lay(name);
  const client = await source.client();
  // A transaction that is open at the time point and ends well afterwards: nothing of it may be in the copy.
  const open = client.startSession();
  open.startTransaction();
  const late = client.db(name).collection<Document>('orders');
  await late.insertOne({ _id: 'not ended yet' } as Document, { session: open });
  await late.deleteOne({ _id: DOCUMENTS - 1 } as Document, { session: open });

  const writer = writeTo(client, name);
  const events: Extract<RunEvent, { type: 'event' }>[] = [];
  const hooks = { signal: never, onEvent: (event: RunEvent) => void (event.type === 'event' && events.push(event)) };
  const looks: Promise<Look>[] = [];
  const look = async (): Promise<Look> => {
    const [locked, applied] = [await isLocked(hidden()), await appliedLast(hidden())];
    return { locked, applied, writes: writer.writes };
  };
  let writes = 0;
  armFailpoint('freeze.after-time-point', 1, () => {
    looks.push(look());
    armFailpoint('copy.chunk.after-done', 3, () => {
      looks.push(open.commitTransaction().then(look));
    });
  });
  try {
    await run(optionsOf(name, { until: 'copied', lanes: 1, maxMbps: 1 }), hooks);
  } finally {
    writes = await writer.stop();
    await open.endSession();
  }

  // Locked from its time point on, while the business wrote on; and not for longer than it was read.
  const { freeze } = status(state, name);
  expect(freeze).toMatchObject({ member: hidden().address, exact: true, cutShort: null });
  const at = new Timestamp(freeze?.timePoint ?? { t: 0, i: 0 });
  const [first, second] = (await Promise.all(looks)) as [Look, Look];
  for (const { locked, applied } of [first, second]) {
    expect(locked).toBe(true);
    expect(applied.map(String)).toEqual([String(at), String(at)]);
  }
  expect(second.writes).toBeGreaterThan(first.writes);
  expect(writes).toBeGreaterThan(100);
  expect(await isLocked(hidden())).toBe(false);

  // Made anew from the source's log up to the time point, on another server, by that server itself. Nothing of the
  // log was applied to the target yet: it is the copy alone that is compared.
  const replayed = await rebuildAsOf(client, await scratch.client(), name, at);
  expect(replayed).toBeGreaterThan(DOCUMENTS);
  const ofName = { include: (db: string) => db === name };
  const then = await compareClusters(scratch.uri, target.uri, ofName);
  expect(then.differences).toEqual([]);
  expect(then.documents).toBeGreaterThan(DOCUMENTS / 2);
  // The primary's own history says the same, and the present is another.
  const copied = await documentsAsOf(await target.client(), name, 'orders');
  expect(copied).toEqual(await documentsAsOf(await (await source.primary()).client(), name, 'orders', { at }));
  const ids = await (await target.client()).db(name).collection<Document>('orders').distinct('_id');
  expect(ids).toContain(DOCUMENTS - 1);
  expect(ids).not.toContain('not ended yet');
  expect((await compareClusters(source.uri, target.uri, ofName)).equal).toBe(false);

  // It catches up, which is watched and told; then it acknowledges like the others.
  await (await source.client())
    .db(name)
    .collection('orders')
    .insertOne({ all: 'three' }, { writeConcern: { w: 3, wtimeout: 30_000 } });
  await run(optionsOf(name, { until: 'verified' }), hooks);
  const told = events.filter(({ kind }) => kind.startsWith('member-'));
  expect(told.map(({ kind }) => kind)).toEqual(['member-frozen', 'member-released', 'member-caught-up']);
  expect(status(state, name).freeze).toMatchObject({ state: 'caught-up', behindSeconds: expect.any(Number) });
  expect((await compareClusters(source.uri, target.uri, ofName)).differences).toEqual([]);
  const report = readFileSync(join(state, name, 'report.html'), 'utf8');
  expect(report).toContain(`from ${hidden().address}, whose writes stood still for`);
});

test('unfreeze in the middle of the copy: the rest is read from live members, and the report says so', async () => {
  const name = 'cut';
  await lay(name);
  const writer = writeTo(await source.client(), name);
  const hooks = { signal: never, onEvent: () => undefined };
  try {
    let asked: Promise<unknown> = Promise.resolve();
    armFailpoint('copy.chunk.after-done', 2, () => {
      asked = command('unfreeze', { state, run: name }, {}, hooks);
    });
    // One lane and a limit: the copy outlasts the command.
    await run(optionsOf(name, { until: 'copied', lanes: 1, maxMbps: 0.5 }), hooks);
    expect(await asked).toMatchObject({ already: false, message: expect.stringContaining(hidden().address) });
  } finally {
    await writer.stop();
  }
  expect(status(state, name).freeze).toMatchObject({ exact: false, cutShort: expect.stringContaining('unfreeze') });
  await run(optionsOf(name, { until: 'verified' }), hooks);
  const comparison = await compareClusters(source.uri, target.uri, { include: (db) => db === name });
  expect(comparison.differences).toEqual([]);
});

test('check says which member it would take, and why not the others', async () => {
  await lay('asked');
  const report = await check(optionsOf('asked'), never);
  const finding = report.findings.find((one) => one.check === 'freeze');
  expect(finding).toMatchObject({ severity: 'info' });
  expect(finding?.message).toContain(`${hidden().address} would be frozen (hidden, `);
  expect(finding?.message).toContain(`${source.members[0]?.address}: it is the primary`);
  const named = await check(optionsOf('asked', { freeze: source.members[0]?.address }), never);
  expect(named.ok).toBe(false);
  expect(named.findings[0]).toMatchObject({ check: 'freeze', severity: 'error' });
  await expect(
    run(optionsOf('asked', { freeze: 'nowhere:1' }), { signal: never, onEvent: () => undefined }),
  ).rejects.toMatchObject({
    code: 'GW2001',
  });
  await waitFor(async () => !(await isLocked(hidden())), { timeoutMs: 5_000, what: 'no lock' });
});
