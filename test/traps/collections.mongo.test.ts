/** Traps in collections with rules of their own, and in what a cluster knows beside its data. */
import { MongoClient as Client, type Document } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { startReplicaSet } from '../servers/index.ts';
import { freshName, migrateScenario, openMigration, usePair } from './harness.ts';
import { uuidOf } from './raw.ts';

const pair = usePair();
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const pad = 'x'.repeat(80);
const rows = (count = 60): never[] => many(count, (i) => ({ _id: i, pad }));

describe('collections with rules of their own', () => {
  it('capped: order and eviction are the same', () =>
    migrateScenario({
      pair: pair(),
      applyTwice: true,
      before: async ({ db }) => {
        await db.createCollection('by count', { capped: true, size: 1_000_000, max: 50 });
        await db.createCollection('by size', { capped: true, size: 8192 });
        await db.collection('filler').insertMany(rows(200));
        for (const name of ['by count', 'by size']) await fillCapped(db.collection(name), 0, 70);
      },
      during: async ({ db }) => {
        for (const name of ['by count', 'by size']) {
          await fillCapped(db.collection(name), 100, 40);
          const newest = await db.collection(name).find().sort({ $natural: -1 }).limit(10).toArray();
          for (const doc of newest) await db.collection(name).updateOne({ _id: doc._id }, { $set: { touched: 1 } });
          // Replaced as a whole, which must neither move it nor be lost.
          for (const doc of newest.slice(0, 5))
            await db.collection(name).replaceOne({ _id: doc._id }, { replaced: 1, pad: doc['pad'] });
        }
      },
      copied: async ({ db }) => {
        for (const name of ['by count', 'by size']) await fillCapped(db.collection(name), 200, 30);
      },
      flowing: async ({ db }) => {
        for (const name of ['by count', 'by size']) {
          const newest = await db.collection(name).find().sort({ $natural: -1 }).limit(6).toArray();
          for (const doc of newest)
            await db.collection(name).replaceOne({ _id: doc._id }, { late: 1, pad: doc['pad'] });
          await fillCapped(db.collection(name), 300, 5);
        }
      },
      after: async ({ copy }) => {
        expect(await copy.collection('by count').countDocuments()).toBe(50);
        expect(await copy.collection('by count').countDocuments({ late: 1 })).toBe(6);
      },
    }));

  it('capped: limits that go down and up again between the time point and the copy', () =>
    migrateScenario({
      pair: pair(),
      holdAfter: 0,
      before: async ({ db }) => {
        await db.createCollection('ring', { capped: true, size: 1_000_000, max: 50 });
        await fillCapped(db.collection('ring'), 0, 30);
      },
      during: async ({ db }) => {
        await db.command({ collMod: 'ring', cappedMax: 10 });
        await db.command({ collMod: 'ring', cappedMax: 200, cappedSize: 500_000 });
        await fillCapped(db.collection('ring'), 100, 60);
      },
      copied: async ({ db }) => {
        await fillCapped(db.collection('ring'), 200, 60);
        await db.command({ collMod: 'ring', cappedMax: 150 });
        await fillCapped(db.collection('ring'), 300, 60);
      },
      flowing: async ({ db }) => {
        await db.command({ collMod: 'ring', cappedMax: 100 });
        await fillCapped(db.collection('ring'), 400, 5);
      },
      after: async ({ copy }) => expect(await copy.collection('ring').countDocuments()).toBe(100),
    }));

  it('convertToCapped and cloneCollectionAsCapped', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        for (const name of ['a', 'b', 'c']) await db.collection(name).insertMany(rows(100));
      },
      during: async ({ db }) => {
        await db.command({ convertToCapped: 'a', size: 4096 });
        await db.command({ cloneCollectionAsCapped: 'b', toCollection: 'clone', size: 4096 });
        await db.collection('a').insertMany(many(20, (i) => ({ _id: 1000 + i, pad })));
      },
      flowing: async ({ db }) => {
        await db.command({ convertToCapped: 'c', size: 8192 });
        await db.command({ cloneCollectionAsCapped: 'c', toCollection: 'clone 2', size: 4096 });
        await db.collection('clone').insertMany(many(20, (i) => ({ _id: 1000 + i, pad })));
      },
    }));

  it('time series: buckets, their updates, expiry and drop', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        for (const name of ['series', 'dropped', 'again']) {
          await db.createCollection(name, {
            timeseries: { timeField: 't', metaField: 'm', granularity: 'seconds' },
            expireAfterSeconds: 100_000,
          });
          await measure(db.collection(name), 0);
        }
        await db.collection('series').createIndex({ m: 1, t: -1 }, { name: 'meta' });
        await db.collection('filler').insertMany(rows());
      },
      during: async ({ db }) => {
        // Into the same buckets: an update of the bucket, not an insert.
        await measure(db.collection('series'), 30);
        await db.collection('dropped').drop();
        await db.collection('again').drop();
        await db.createCollection('again', { timeseries: { timeField: 'time' } });
        await db.collection('again').insertOne({ time: new Date(), v: 1 });
      },
      copied: async ({ db }) => measure(db.collection('series'), 60),
      flowing: async ({ db }) => {
        await measure(db.collection('series'), 90);
        await db.collection('series').deleteMany({ m: 1 });
        await db.createCollection('late', { timeseries: { timeField: 't', metaField: 'm' } });
        await measure(db.collection('late'), 0);
        await db.command({ collMod: 'series', expireAfterSeconds: 200_000 });
        await db.collection('late').createIndex({ m: 1 });
      },
      after: async ({ copy, db }) => {
        expect(await copy.collection('series').countDocuments()).toBe(await db.collection('series').countDocuments());
        const [info] = await copy.listCollections({ name: 'series' }).toArray();
        expect((info as { options?: Document }).options).toMatchObject({ expireAfterSeconds: 200_000 });
        expect(await uuidOf(copy.client, copy.databaseName, 'system.buckets.series')).toBeDefined();
      },
    }));

  it('a time series whose granularity changes on the way', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        await db.createCollection('series', { timeseries: { timeField: 't', metaField: 'm', granularity: 'seconds' } });
        await measure(db.collection('series'), 0);
        await db.collection('filler').insertMany(rows());
      },
      during: async ({ db }) => db.command({ collMod: 'series', timeseries: { granularity: 'minutes' } }),
      flowing: async ({ db }) => {
        await measure(db.collection('series'), 30);
        await db.command({ collMod: 'series', timeseries: { granularity: 'hours' } });
      },
    }));
});

describe('users and feature compatibility', () => {
  it('users log in on the target with their old password after the cutover', async () => {
    const auth = { user: 'root', password: 'secret' };
    await using source = await startReplicaSet({ name: 'authsource', auth });
    await using target = await startReplicaSet({ name: 'authtarget', auth });
    const name = freshName();
    const client = await source.client();
    await client.db(name).command({
      createRole: 'reader',
      privileges: [{ resource: { db: name, collection: '' }, actions: ['find'] }],
      roles: [],
    });
    await client.db(name).command({ createUser: 'shop', pwd: 'old password', roles: ['readWrite', 'reader'] });
    await client.db(name).command({ createUser: 'old', pwd: 'sha 1', roles: ['read'], mechanisms: ['SCRAM-SHA-1'] });
    await migrateScenario({
      pair: { source, target },
      db: name,
      options: { withUsers: true },
      before: async ({ db }) => db.collection('c').insertMany(rows()),
      after: async () => {
        for (const [user, password] of [
          ['shop', 'old password'],
          ['old', 'sha 1'],
        ] as const) {
          const uri = target.uri
            .replace('root:secret@', `${user}:${encodeURIComponent(password)}@`)
            .replace('authSource=admin', `authSource=${name}`);
          const app = new Client(uri);
          try {
            expect(await app.db(name).collection('c').countDocuments()).toBe(60);
          } finally {
            await app.close();
          }
        }
      },
    });
  });

  it('users with no more than the documented privileges carry every kind of diff', async () => {
    const auth = { user: 'root', password: 'secret' };
    await using source = await startReplicaSet({ name: 'leastsource', auth });
    await using target = await startReplicaSet({ name: 'leasttarget', auth });
    for (const set of [source, target]) {
      // As in docs/how-to/privileges.md.
      const roles = ['backup', 'restore', 'readWriteAnyDatabase', 'dbAdminAnyDatabase', 'clusterMonitor'];
      await (await set.client()).db('admin').command({ createUser: 'godwit', pwd: 'plain', roles });
    }
    const as = (uri: string): string => uri.replace('root:secret@', 'godwit:plain@');
    await migrateScenario({
      pair: { source, target },
      options: { from: as(source.uri), to: as(target.uri) },
      before: async ({ db }) => {
        await db.collection('c').insertMany(rows());
        await db.createCollection('capped', { capped: true, size: 10_000 });
        await db.collection('c').createIndex({ pad: 1, n: 1 });
      },
      during: async ({ db }) => {
        const set = { $setField: { field: { $literal: 'a.b' }, input: '$$ROOT', value: [1, 2, 3] } };
        await db.collection('c').updateMany({}, [{ $replaceWith: set }]);
        await db
          .collection('c')
          .updateMany({}, [{ $set: { $x: 1, n: [1, 2, 3] } } as never])
          .catch(() => undefined);
        await db.collection('c').updateMany({}, { $set: { n: [1, 2, 3, 4] } });
        await db.collection('c').updateMany({}, [{ $set: { n: { $slice: ['$n', 2] } } }]);
      },
      flowing: async ({ db }) => db.collection('c').updateMany({}, { $push: { n: 9 } } as never),
    });
  });

  it('a source whose feature compatibility version is below its binary', async () => {
    await using source = await startReplicaSet({ name: 'fcv' });
    const target = pair().target;
    const admin = (await source.client()).db('admin');
    await admin.command({ setFeatureCompatibilityVersion: '5.0' });
    const migration = await openMigration({ source, target }, freshName());
    const { db } = migration.stage;
    try {
      await db.collection('c').insertMany(rows());
      await db.collection('c').createIndex({ pad: 1 }, { unique: false });
      await migration.runUntil('copied');
      await db.collection('c').updateMany({}, [{ $set: { a: { b: 1 } } }]);
      await migration.start();
      await migration.reach('verified');
      expect((await migration.compare()).differences).toEqual([]);
      // Another version in the middle changes what the log may hold: it must stop, and say so.
      await admin.command({ setFeatureCompatibilityVersion: '6.0' });
      await expect(migration.ended).rejects.toMatchObject({
        code: 'GW5003',
        message: expect.stringContaining('feature compatibility'),
      });
    } finally {
      await migration.close();
    }
  });
});

async function fillCapped(c: import('mongodb').Collection, from: number, count: number): Promise<void> {
  for (let i = 0; i < count; i += 1)
    await c.insertOne({ _id: from + i, pad: 'y'.repeat(20 + ((i * 37) % 300)) } as never);
}

async function measure(c: import('mongodb').Collection, offset: number): Promise<void> {
  const start = Date.UTC(2026, 0, 1) + offset * 1000;
  await c.insertMany(many(30, (i) => ({ t: new Date(start + i * 1000), m: i % 3, v: i, s: `x${i}` })));
}
