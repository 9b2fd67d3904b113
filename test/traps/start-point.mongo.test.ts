/** Traps at the first time point and at checkpoints: what is under way there must not fall between. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type ClientSession, type Document, type MongoClient, Timestamp } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { startReplicaSet, waitFor } from '../servers/index.ts';
import { compareClusters } from '../tools/compare-clusters.ts';
import { freshName, migrateScenario, openMigration, type Pair, usePair } from './harness.ts';
import { prepare } from './prepare.ts';
import { oldestEntry, rollOver } from './rollover.ts';

const pair = usePair();
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const by = (id: unknown): never => ({ _id: id }) as never;
const pad = 'x'.repeat(80);

describe('start point and checkpoints', () => {
  it('a write in flight at the first time point arrives', async () => {
    const name = freshName();
    const { source } = pair();
    const client = await source.client();
    await client
      .db(name)
      .collection('c')
      .insertMany(many(80, (i) => ({ _id: i, pad })));
    const admin = client.db('admin');
    const failpoint = 'hangAfterCollectionInserts';
    await admin.command({ configureFailPoint: failpoint, mode: 'alwaysOn', data: { collectionNS: `${name}.c` } });
    const migration = await openMigration(pair(), name);
    try {
      // It has its place in the log, and has not committed.
      const slow = client
        .db(name)
        .collection('c')
        .insertOne({ _id: 'slow' } as never);
      await admin.command({ waitForFailPoint: failpoint, timesEntered: 1, maxTimeMS: 30_000 });
      const copying = migration.runUntil('copied');
      copying.catch(() => undefined);
      await waitFor(async () => (await underWay(client, { 'command.appendOplogNote': 1, appName: 'godwit' })) > 0, {
        timeoutMs: 20_000,
        what: 'the run to ask for its time point',
      });
      await admin.command({ configureFailPoint: failpoint, mode: 'off' });
      await slow;
      await copying;
      await migration.start();
      await migration.reach('verified');
      await migration.ask('cutover');
      await migration.stop();
      expect((await migration.compare()).differences).toEqual([]);
      expect(await migration.stage.copy.collection('c').countDocuments(by('slow'))).toBe(1);
    } finally {
      await admin.command({ configureFailPoint: failpoint, mode: 'off' });
      await migration.close();
    }
  });

  it('transactions older than the first time point, committed after the copy', async () => {
    const sessions: ClientSession[] = [];
    let large: ClientSession;
    let prepared: ClientSession;
    let aborted: ClientSession;
    let commit = async (): Promise<unknown> => undefined;
    await migrateScenario({
      pair: pair(),
      before: async ({ db, source }) => {
        await db.collection('c').insertMany(many(80, (i) => ({ _id: i, pad })));
        large = source.startSession();
        prepared = source.startSession();
        aborted = source.startSession();
        sessions.push(large, prepared, aborted);
        for (const session of sessions) session.startTransaction();
        for (let i = 0; i < 20; i += 1) {
          await db
            .collection('c')
            .insertOne({ _id: `large ${i}`, pad: 'x'.repeat(1024 * 1024) } as never, { session: large });
        }
        await db.collection('c').updateOne(by(3), { $set: { by: 'large' } }, { session: large });
        await db.collection('c').insertOne({ _id: 'prepared' } as never, { session: prepared });
        await db.collection('c').updateOne(by(4), { $set: { by: 'prepared' } }, { session: prepared });
        await db.collection('c').insertOne({ _id: 'never' } as never, { session: aborted });
        commit = await prepare(source, prepared);
        await prepare(source, aborted);
        // The log moves on, so that the prepared one lies well before the time point.
        await source.db('admin').command({ appendOplogNote: 1, data: { a: 1 }, writeConcern: { w: 'majority' } });
      },
      copied: async ({ db }) => {
        await db.collection('c').insertOne({ _id: 'between' } as never);
        await large.commitTransaction();
        await commit();
        await aborted.abortTransaction();
      },
      after: async ({ copy }) => {
        expect(await copy.collection('c').countDocuments({ _id: /^(large|prepared|between)/ } as never)).toBe(22);
        expect(await copy.collection('c').countDocuments({ by: { $in: ['large', 'prepared'] } })).toBe(2);
      },
    });
    for (const session of sessions) await session.endSession();
  });

  it('changes of every kind on copied and uncopied documents in the middle of the copy', () =>
    migrateScenario({
      pair: pair(),
      applyTwice: true,
      before: async ({ db }) => {
        await db.collection('c').insertMany(many(400, (i) => ({ _id: i, n: 0, pad })));
      },
      holdAfter: 4,
      during: async ({ db, copy }) => {
        const c = db.collection('c');
        const done = await copy.collection('c').countDocuments();
        expect(done).toBeGreaterThan(20);
        expect(done).toBeLessThan(380);
        // On both sides of the reader alike.
        await c.updateMany({ _id: { $mod: [5, 0] } } as never, { $inc: { n: 1 } });
        await c.deleteMany({ _id: { $mod: [5, 1] } } as never);
        for (let i = 2; i < 400; i += 10) {
          await c.deleteOne(by(i));
          await c.insertOne({ _id: i, again: 1 } as never);
          await c.updateOne(by(i), { $inc: { again: 1 } });
        }
        await c.insertMany(many(100, (i) => ({ _id: i * 4 + 0.5, between: i })));
        for (let i = 3; i < 400; i += 10) await c.replaceOne(by(i), { replaced: i });
      },
      flowing: async ({ db }) => {
        await db.collection('c').updateMany({}, { $inc: { n: 10 } });
        await db.collection('c').deleteMany({ _id: { $mod: [5, 2] } } as never);
      },
    }));

  it('a copy that takes longer than the snapshot window', async () => {
    const admin = [(await pair().source.client()).db('admin'), (await pair().target.client()).db('admin')];
    const window = (seconds: number): Promise<unknown> =>
      Promise.all(admin.map((db) => db.command({ setParameter: 1, minSnapshotHistoryWindowInSeconds: seconds })));
    await window(1);
    try {
      await migrateScenario({
        pair: pair(),
        before: async ({ db }) => {
          await db.collection('c').insertMany(many(300, (i) => ({ _id: i, n: 0, pad })));
        },
        during: async ({ db, source, events }) => {
          const position = String(
            events.find(({ kind }) => kind === 'time-point')?.data['position'] ?? (await firstTimePoint(source)),
          );
          const [t, i] = [Number.parseInt(position.slice(0, 8), 16), Number.parseInt(position.slice(8), 16)];

          // Until the server itself says that the first time point can no longer be read.
          await waitFor(
            async () => {
              await db.collection('c').updateMany({}, { $inc: { n: 1 } });
              const read = {
                find: 'c',
                limit: 1,
                readConcern: { level: 'snapshot', atClusterTime: new Timestamp({ t, i }) },
              };
              return db.command(read).then(
                () => false,
                (error: { codeName?: string }) => error.codeName === 'SnapshotTooOld',
              );
            },
            { timeoutMs: 30_000, what: 'the snapshot of the first time point to be gone', intervalMs: 200 },
          );
        },
      });
    } finally {
      await window(300);
    }
  });

  it('SIGKILL with changes queued and an idle tick pending: the checkpoint is never ahead', async () => {
    const name = freshName();
    const dir = await mkdtemp(join(tmpdir(), 'godwit-trap-'));
    const { source, target } = pair();
    const c = (await source.client()).db(name).collection('c');
    await c.insertMany(many(100, (i) => ({ _id: i, n: 0, pad })));
    const run = async (failpoint: string | undefined, until: string): Promise<NodeJS.Signals | number | null> => {
      const words = ['--import', 'tsx', 'src/cli/main.ts', 'migrate', 'run', '--from', source.uri, '--to', target.uri];
      const flags = ['--include', name, '--state', dir, '--until', until, '--json'];
      const child = spawn(process.execPath, [...words, ...flags], {
        stdio: ['ignore', 'ignore', 'inherit'],
        env: { ...process.env, ...(failpoint ? { GODWIT_FAILPOINT: failpoint } : {}) },
      });
      const [code, signal] = (await once(child, 'exit')) as [number | null, NodeJS.Signals | null];
      return signal ?? code;
    };
    try {
      expect(await run(undefined, 'copied')).toBe(0);
      // What was written by no checkpoint must be written again; what has none must not be passed over.
      for (const point of ['apply.before-write', 'apply.mid-write', 'apply.after-write', 'checkpoint.after-commit:2']) {
        await c.updateMany({}, { $inc: { n: 1 } });
        await c.insertOne({ at: point });
        expect(await run(point, 'verified')).toBe('SIGKILL');
      }
      expect(await run(undefined, 'verified')).toBe(0);
      const { differences } = await compareClusters(source.uri, target.uri, { include: (db) => db === name });
      // Unique and TTL indexes aside, which this collection has none of, a verified target is equal already.
      expect(differences).toEqual([]);
    } finally {
      await rm(dir, { recursive: true, force: true });
    }
  });

  it('the first bulk of a lane fails, then the process ends: nothing is skipped', async () => {
    const name = freshName();
    const migration = await openMigration(pair(), name, { retryForSeconds: 0.5 });
    const { db, copy, target } = migration.stage;
    const admin = target.db('admin');
    try {
      await db.collection('c').insertMany(many(100, (i) => ({ _id: i, n: 0, pad })));
      await migration.runUntil('copied');
      await db.collection('c').updateMany({}, { $inc: { n: 1 } });
      await db.collection('c').insertMany(many(50, (i) => ({ _id: `new ${i}` })));
      const failing = { failCommands: ['update', 'insert'], errorCode: 91, appName: 'godwit' };
      await admin.command({ configureFailPoint: 'failCommand', mode: 'alwaysOn', data: failing });
      await expect(migration.runUntil('verified')).rejects.toMatchObject({ code: 'GW3004' });
      await admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
      expect(await copy.collection('c').countDocuments({ n: 1 })).toBe(0);
      await migration.runUntil('verified');
      expect(await copy.collection('c').countDocuments({ n: 1 })).toBe(100);
      expect((await migration.compare()).differences).toEqual([]);
    } finally {
      await admin.command({ configureFailPoint: 'failCommand', mode: 'off' });
      await migration.close();
    }
  });

  it('a quiet business while its neighbours roll the log over', { timeout: 240_000 }, async () => {
    await using source = await startReplicaSet({ name: 'quiet', oplogSizeMB: 16, checkpointSeconds: 1 });
    const quiet: Pair = { source, target: pair().target };
    const name = freshName();
    const migration = await openMigration(quiet, name);
    const { db, copy } = migration.stage;
    try {
      await db.collection('c').insertMany(many(50, (i) => ({ _id: i, pad })));
      await migration.runUntil('copied');
      await migration.start();
      await migration.reach('verified');
      const from = await oldestEntry(source);
      await rollOver(source, from);
      expect((await oldestEntry(source)) > from).toBe(true);
      // So small a log may roll over between two no-ops of the server: the run has seen one that is still there.
      await migration.stage.caughtUp();
      await migration.stop();
      // Again, and from its checkpoint, it finds the log where it left it.
      await migration.start();
      await migration.reach('verified');
      await db.collection('c').insertOne({ _id: 'after the silence' } as never);
      await migration.stage.caughtUp();
      expect(await copy.collection('c').countDocuments(by('after the silence'))).toBe(1);
      await migration.ask('cutover');
      await migration.stop();
      expect((await migration.compare()).differences).toEqual([]);
    } finally {
      await migration.close();
    }
  });
});

async function underWay(client: MongoClient, filter: Document): Promise<number> {
  const found = await client
    .db('admin')
    .aggregate([{ $currentOp: { allUsers: true } }, { $match: filter }])
    .toArray();
  return found.length;
}

/** The newest note of a run in the log: no time point lies after it. */
async function firstTimePoint(client: MongoClient): Promise<string> {
  const [note] = await client
    .db('local')
    .collection('oplog.rs')
    .find({ 'o.godwit.catalog': 'after' })
    .sort({ $natural: -1 })
    .limit(1)
    .toArray();
  if (note === undefined) throw new Error('no run has noted its time point yet');
  const { t, i } = note['ts'] as { t: number; i: number };
  return [t, i].map((n) => n.toString(16).padStart(8, '0')).join('');
}
