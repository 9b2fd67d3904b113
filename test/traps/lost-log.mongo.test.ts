/** Traps of a lost log: nobody followed while it rolled over, and the run goes on all the same. */
import { readdir, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { type Document, Double, Int32 } from 'bson';
import type { Db } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { GodwitError } from '../../src/kernel/errors.ts';
import { armFailpoint } from '../../src/kernel/failpoint.ts';
import type { ResyncRecord } from '../../src/routes/migrate/run-context.ts';
import { RunStore, runLockHolder } from '../../src/state/index.ts';
import { type ReplicaSet, waitFor } from '../servers/index.ts';
import { insertRaw } from '../tools/raw-insert.ts';
import { freshName, type Migration, openMigration, usePair } from './harness.ts';
import { oddNumbers, oddTypes, zeroTime } from './odd-values.ts';
import { present, rollOver } from './rollover.ts';

// The server keeps its log until its next checkpoint: with one every second, a small one is soon rolled over.
const forgetful = { oplogSizeMB: 16, checkpointSeconds: 1 };
const pair = usePair({ source: forgetful, target: forgetful });
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const pad = 'x'.repeat(80);
const MINUTES = { timeout: 240_000 };

async function forget(set: ReplicaSet): Promise<void> {
  await rollOver(set, await present(set));
}

function inStore<T>(migration: Migration, look: (store: RunStore) => T): T {
  const { state, run } = migration.options;
  const store = RunStore.open(state, run, { readOnly: true });
  try {
    return look(store);
  } finally {
    store.close();
  }
}

function recordOf(migration: Migration): ResyncRecord {
  return inStore(migration, (store) => store.get<ResyncRecord>('resync')) as ResyncRecord;
}

/** A run that lives, and can be asked. */
async function startAlive(migration: Migration): Promise<void> {
  const { state, run } = migration.options;
  await migration.start();
  await waitFor(() => runLockHolder(state, run) !== undefined, { timeoutMs: 30_000, what: 'the run to live' });
}

/** To the proof, the switch, and the judge. */
async function finish(migration: Migration): Promise<void> {
  await migration.runUntil('verified');
  await startAlive(migration);
  await migration.ask('cutover');
  await migration.stop();
  expect((await migration.compare()).differences).toEqual([]);
}

/** Writes all the time until stopped: what a resync goes on beside. */
function writer(db: Db): { stop(): Promise<void> } {
  let going = true;
  const work = (async () => {
    const c = db.collection<Document>('c');
    for (let i = 0; going; i += 1) {
      await c.updateMany({ n: { $mod: [40, 1] } }, { $inc: { live: 1 }, $push: { list: i } } as never);
      await c.insertOne({ _id: `live ${i}` as never, n: i, u: `live ${i}` });
      await c.deleteOne({ _id: `live ${i - 5}` as never });
      if (i % 10 === 0) await db.collection('ring').insertOne({ live: i });
    }
  })();
  return {
    stop: async () => {
      going = false;
      await work;
    },
  };
}

describe('a lost log', () => {
  it('without --resync it stops and says how to go on; nothing is changed', MINUTES, async () => {
    const { source } = pair();
    const migration = await openMigration(pair(), freshName());
    const { db, copy } = migration.stage;
    try {
      await db.collection('c').insertMany(many(50, (i) => ({ _id: i, pad })));
      await migration.runUntil('verified');
      await db.collection('c').deleteMany({});
      await forget(source);
      const error = (await migration.runUntil('verified').catch((one: unknown) => one)) as GodwitError;
      expect(error).toMatchObject({ code: 'GW4001' });
      expect(error.hint).toContain('--resync');
      expect(await copy.collection('c').countDocuments()).toBe(50);
    } finally {
      await migration.close();
    }
  });

  it('whatever changed meanwhile, and while it is compared: only what differs is copied', MINUTES, async () => {
    const { source } = pair();
    const name = freshName();
    const migration = await openMigration(pair(), name, { resync: true });
    const { db, source: client, events } = migration.stage;
    const c = db.collection<Document>('c');
    try {
      await c.insertMany(many(2_000, (i) => ({ _id: i, n: new Int32(i), pad, u: i })));
      await c.createIndexes([
        { key: { n: 1 } },
        { key: { u: 1 }, unique: true },
        { key: { pad: 1, n: -1 }, name: 'p' },
      ]);
      await insertRaw(client, `${name}.odd`, [...oddNumbers(0), ...oddTypes(100)]);
      await db.createCollection('ring', { capped: true, size: 50_000 });
      await db.createCollection('still', { capped: true, size: 50_000 });
      for (const ring of ['ring', 'still']) await db.collection(ring).insertMany(many(30, (i) => ({ _id: i })));
      await db.createCollection('words', { collation: { locale: 'en', strength: 2 } });
      await db.collection('words').insertMany(many(30, (i) => ({ _id: `w${i}`, n: 1 })));
      await db.createCollection('weather', { timeseries: { timeField: 't', metaField: 'm' } });
      const measure = (from: number) => many(50, (i) => ({ t: new Date(from + i * 1000), m: i % 3, v: i }));
      await db.collection('weather').insertMany(measure(1_700_000_000_000));
      await db.createCollection('clustered', { clusteredIndex: { key: { _id: 1 }, unique: true } });
      await db.collection('clustered').insertMany(many(200, (i) => ({ _id: i, pad })));
      for (const part of ['a', 'b', 'gone', 'again', 'strict'])
        await db.collection(part).insertMany(many(40, (i) => ({ _id: i, part })));
      await db.createCollection('view', { viewOn: 'c', pipeline: [] });
      await migration.runUntil('verified');

      await c.updateMany({ n: { $mod: [200, 3] } }, { $set: { pad: 'changed' } });
      await c.updateOne({ _id: 7 as never }, { $set: { n: new Double(7) } });
      await c.deleteMany({ n: { $mod: [200, 5] } });
      await c.insertMany(many(10, (i) => ({ _id: `new ${i}`, u: -i - 1 })));
      await c.deleteOne({ _id: 9 as never });
      await c.insertOne({ _id: new Double(9) as never, u: 9, note: 'the same key, of another type' });
      await zeroTime(client, name, 9_000_000);
      await c.dropIndex('n_1');
      await c.dropIndex('p');
      await c.createIndex({ pad: 1 }, { name: 'p', sparse: true });
      await c.createIndex({ at: 1 }, { expireAfterSeconds: 1_000_000 });
      await db.collection('odd').updateMany({ _id: { $lt: 5 } as never }, { $set: { more: 1 } });
      await db.collection('ring').insertMany(many(20, (i) => ({ _id: 1000 + i })));
      await db.collection('words').deleteOne({ _id: 'w3' as never });
      await db.collection('words').insertOne({ _id: 'W3' as never, n: 1 });
      await db.collection('weather').insertMany(measure(1_700_000_000_000 + 60_000));
      await db.collection('clustered').updateMany({ _id: { $mod: [50, 1] } as never }, { $set: { pad: 'y' } });
      await db.collection('a').rename('between');
      await db.collection('b').rename('a');
      await db.collection('between').rename('b');
      await db.collection('gone').drop();
      await db.collection('again').drop();
      await db.collection('again').insertMany(many(40, (i) => ({ _id: i, part: i === 5 ? 'other' : 'again' })));
      await db.command({ collMod: 'strict', validator: { part: 'strict' }, validationLevel: 'moderate' });
      await db.collection('fresh').insertMany(many(25, (i) => ({ _id: i })));
      await db.collection('fresh').createIndex({ z: 1 });
      await db.collection('view').drop();
      await db.createCollection('sight', { viewOn: 'a', pipeline: [{ $match: { _id: 1 } }] });
      await forget(source);

      const writing = writer(db);
      try {
        await migration.runUntil('verified');
      } finally {
        await writing.stop();
      }
      const record = recordOf(migration);
      expect(record.structure?.renamed.length).toBeGreaterThanOrEqual(2);
      expect(record.structure?.dropped).toEqual(expect.arrayContaining([`${name}.gone`, `${name}.c index n_1`]));
      expect(record.structure?.created).toEqual([`${name}.fresh`]);
      expect(record.structure?.changed).toEqual([`${name}.strict`]);
      // The ring that nobody wrote stays as it is.
      expect(record.recopied).toEqual([`${name}.ring`]);
      const { missing, extra, different } = record.found;
      // A writer adds to it; what nobody touched is not copied again.
      expect(missing + extra + different).toBeGreaterThan(50);
      expect(missing + extra + different).toBeLessThan(1_000);
      expect(events.filter(({ kind }) => kind === 'resync-began')).toHaveLength(1);
      await finish(migration);
    } finally {
      await migration.close();
    }
  });

  it('in the middle of the copy: what was copied is kept', MINUTES, async () => {
    const { source } = pair();
    const migration = await openMigration(pair(), freshName(), { resync: true });
    const { stage } = migration;
    const { db } = stage;
    try {
      await db.collection('c').insertMany(many(400, (i) => ({ _id: i, n: 0, pad })));
      await db.collection('d').insertMany(many(50, (i) => ({ _id: i, n: 0, pad })));
      armFailpoint('copy.chunk.after-done', 4, () => {
        throw new GodwitError('GW8001', 'A test stopped the copy');
      });
      await expect(migration.runUntil('copied')).rejects.toMatchObject({ code: 'GW8001' });
      const copied = await stage.copy.collection('c').countDocuments();
      expect(stage.pendingChunks()).toBeGreaterThan(0);
      expect(copied).toBeGreaterThan(0);
      await db.collection('c').updateMany({ _id: { $lt: 10 } as never }, { $set: { n: 1 } });
      await forget(source);
      await migration.runUntil('following');
      const { missing, different } = recordOf(migration).found;
      expect(missing + different).toBeLessThanOrEqual(450 - copied + 10);
      await finish(migration);
    } finally {
      await migration.close();
    }
  });

  it('a lost spool alone is no lost log, as long as the source reaches back', MINUTES, async () => {
    const { source } = pair();
    const migration = await openMigration(pair(), freshName(), { resync: true });
    const { db } = migration.stage;
    try {
      await db.collection('c').insertMany(many(100, (i) => ({ _id: i, n: 0, pad })));
      await migration.runUntil('verified');
      await db.collection('c').updateMany({}, { $inc: { n: 1 } });
      const spools = async () =>
        (await readdir(join(migration.options.state, migration.options.run))).filter((one) => one.startsWith('spool-'));
      const loseSpool = async () => {
        for (const one of await spools())
          await rm(join(migration.options.state, migration.options.run, one), { recursive: true });
      };
      await loseSpool();
      await migration.runUntil('following');
      expect(inStore(migration, (store) => store.get('resync'))).toBeUndefined();
      await db.collection('c').updateMany({}, { $inc: { n: 1 } });
      await loseSpool();
      await forget(source);
      await finish(migration);
      expect(recordOf(migration).found).toEqual({ missing: 0, extra: 0, different: 100 });
    } finally {
      await migration.close();
    }
  });

  it('unique values changed hands, and the target is unique already after an undone cutover', MINUTES, async () => {
    const { source } = pair();
    const migration = await openMigration(pair(), freshName(), { resync: true });
    const { db } = migration.stage;
    const c = db.collection<Document>('c');
    try {
      await c.insertMany(many(300, (i) => ({ _id: i, u: i, pad })));
      await c.createIndex({ u: 1 }, { unique: true });
      await migration.runUntil('verified');
      armFailpoint('cutover.after-finish', 1, () => {
        throw new GodwitError('GW7006', 'A test undid the cutover');
      });
      await startAlive(migration);
      await expect(migration.ask('cutover')).rejects.toMatchObject({ code: 'GW7006' });
      await migration.stop();
      await c.updateMany({}, [{ $set: { u: { $add: ['$u', 1_000] } } }]);
      await c.updateMany({}, [{ $set: { u: { $mod: [{ $add: ['$_id', 7] }, 300] } } }]);
      await forget(source);
      await finish(migration);
    } finally {
      await migration.close();
    }
  });

  it('after the switch: the way back is open again', MINUTES, async () => {
    const { target } = pair();
    const migration = await openMigration(pair(), freshName(), { resync: true });
    const { db, copy } = migration.stage;
    try {
      await db.collection('c').insertMany(many(300, (i) => ({ _id: i, n: 0, pad })));
      await db.collection('c').createIndex({ n: 1, _id: 1 }, { unique: true });
      await migration.runUntil('verified');
      await startAlive(migration);
      await migration.ask('cutover');
      await migration.stop();
      await copy.collection('c').updateMany({ _id: { $lt: 20 } as never }, { $set: { n: 1 } });
      await copy.collection('c').deleteMany({ _id: { $gt: 290 } as never });
      await copy.collection('only there').insertMany(many(20, (i) => ({ _id: i })));
      await copy.collection('only there').createIndex({ k: 1 });
      await forget(target);
      await migration.start();
      await waitFor(() => recordOf(migration)?.doneAt !== undefined, { timeoutMs: 60_000, what: 'the resync' });
      await migration.reach('switched');
      await migration.ask('rollback');
      expect(await migration.ended).toMatchObject({ phase: 'rolled-back' });
      expect(recordOf(migration).found).toEqual({ missing: 20, extra: 9, different: 20 });
      expect((await migration.compare()).differences).toEqual([]);
    } finally {
      await migration.close();
    }
  });

  it('in the middle of a rollback: the target serves again, and the rollback can be repeated', MINUTES, async () => {
    const { target } = pair();
    const migration = await openMigration(pair(), freshName(), { resync: true });
    const { db, copy } = migration.stage;
    try {
      await db.collection('c').insertMany(many(100, (i) => ({ _id: i, n: 0, pad })));
      await migration.runUntil('verified');
      await startAlive(migration);
      await migration.ask('cutover');
      armFailpoint('rollback.after-fence', 1, () => {
        void migration.stop();
        throw new GodwitError('GW8001', 'A test stopped the rollback');
      });
      await migration.ask('rollback').catch(() => undefined);
      await waitFor(() => runLockHolder(migration.options.state, migration.options.run) === undefined, {
        timeoutMs: 30_000,
        what: 'the run to end',
      });
      expect(migration.phase()).toBe('rolling-back');
      await copy.collection('c').updateMany({ _id: { $lt: 10 } as never }, { $set: { n: 1 } });
      await forget(target);
      await migration.start();
      await waitFor(() => recordOf(migration)?.doneAt !== undefined, { timeoutMs: 60_000, what: 'the resync' });
      expect(migration.stage.events.some(({ kind }) => kind === 'rollback-undone')).toBe(true);
      await migration.reach('switched');
      await migration.ask('rollback');
      expect(await migration.ended).toMatchObject({ phase: 'rolled-back' });
      expect((await migration.compare()).differences).toEqual([]);
    } finally {
      await migration.close();
    }
  });

  it('lost again in the middle of the resync: what was put right is kept', MINUTES, async () => {
    const { source } = pair();
    const migration = await openMigration(pair(), freshName(), { resync: true });
    const { db, events } = migration.stage;
    const collections = ['a', 'b', 'c'].map((name) => db.collection<Document>(name));
    try {
      for (const c of collections) await c.insertMany(many(200, (i) => ({ _id: i, n: 0, pad })));
      await migration.runUntil('verified');
      for (const c of collections) await c.updateMany({ _id: { $lt: 100 } as never }, { $set: { n: 1 } });
      await forget(source);
      // One collection is done, one is written and not done.
      armFailpoint('resync.chunk.before-done', 2, () => {
        throw new GodwitError('GW8001', 'A test stopped the resync');
      });
      await expect(migration.runUntil('verified')).rejects.toMatchObject({ code: 'GW8001' });
      expect(migration.phase()).toBe('resyncing');
      const before = recordOf(migration).generation;
      await collections[0]?.updateMany({ _id: { $gte: 190 } as never }, { $set: { n: 2 } });
      await forget(source);
      await finish(migration);
      const record = recordOf(migration);
      expect(record.generation).toBe(before + 1);
      // The documents written in between, and those of the collection that the first one did not come to.
      expect(record.found).toEqual({ missing: 0, extra: 0, different: 110 });
      expect(events.filter(({ kind }) => kind === 'resync-began')).toHaveLength(2);
    } finally {
      await migration.close();
    }
  });

  it('a source that has lost most of its documents is not repeated', MINUTES, async () => {
    const { source } = pair();
    const migration = await openMigration(pair(), freshName(), { resync: true });
    const { db, copy } = migration.stage;
    try {
      await db.collection('c').insertMany(many(1_500, (i) => ({ _id: i, pad })));
      await migration.runUntil('verified');
      await db.dropDatabase();
      await forget(source);
      await expect(migration.runUntil('verified')).rejects.toMatchObject({ code: 'GW4004' });
      expect(await copy.collection('c').countDocuments()).toBe(1_500);
      expect(migration.phase()).toBe('verified');
    } finally {
      await migration.close();
    }
  });
});
