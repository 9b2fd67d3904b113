/** Traps in namespaces: names are not identities, and what has a name may be gone, renamed, or something else. */
import type { Document, MongoClient } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { armFailpoint } from '../../src/kernel/failpoint.ts';
import { freshName, migrateScenario, openMigration, usePair } from './harness.ts';

const pair = usePair();
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const by = (id: unknown): never => ({ _id: id }) as never;
const pad = 'x'.repeat(80);
const rows = (count = 60, more: Document = {}): never[] => many(count, (i) => ({ _id: i, ...more, pad }));
const names = async (client: MongoClient, db: string): Promise<string[]> =>
  (await client.db(db).listCollections({}, { nameOnly: true }).toArray()).map(({ name }) => name).sort();
const rename = (client: MongoClient, from: string, to: string, dropTarget = false): Promise<unknown> =>
  client.db('admin').command({ renameCollection: from, to, dropTarget });

describe('renames', () => {
  it('within a database, with and without dropTarget', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        for (const name of ['a', 'b', 'c', 'd']) await db.collection(name).insertMany(rows(60, { of: name }));
        await db.collection('a').createIndex({ of: 1 }, { unique: false });
      },
      during: async ({ db }) => {
        await db.collection('a').updateMany({}, { $set: { before: 1 } });
        await db.renameCollection('a', 'moved');
        await db.collection('moved').updateMany({}, { $set: { after: 1 } });
        await db.renameCollection('b', 'c', { dropTarget: true });
        await db.collection('c').deleteOne(by(1));
        await db.collection('a').insertMany(rows(5, { of: 'new a' }));
      },
      flowing: async ({ db }) => {
        await db.renameCollection('moved', 'again');
        await db.renameCollection('d', 'again', { dropTarget: true });
        await db.collection('again').insertOne({ of: 'last' });
        await db.collection('d').insertMany(rows(5));
      },
    }));

  it('across databases, both of them chosen', async () => {
    const other = freshName();
    const name = freshName();
    await migrateScenario({
      pair: pair(),
      db: name,
      options: { include: [name, other] },
      before: async ({ db, source }) => {
        await db.collection('a').insertMany(rows());
        await db.collection('a').createIndex({ pad: 1 });
        await source
          .db(other)
          .collection('old')
          .insertMany(rows(60, { of: 'other' }));
      },
      during: async ({ source }) => rename(source, `${name}.a`, `${other}.a`),
      flowing: async ({ source, db }) => {
        await rename(source, `${other}.old`, `${name}.a`);
        await rename(source, `${other}.a`, `${name}.a`, true);
        await db.collection('a').insertOne({ late: 1 });
      },
    });
  });

  it('$out over a collection, while it is copied and after', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        await db.collection('a').insertMany(rows());
        await db.collection('out').insertMany(rows(60, { old: 1 }));
        await db.collection('out').createIndex({ old: 1 });
      },
      during: async ({ db }) => {
        await db
          .collection('a')
          .aggregate([{ $set: { made: 1 } }, { $out: 'out' }])
          .toArray();
        await db
          .collection('a')
          .aggregate([{ $set: { made: 2 } }, { $out: 'new' }])
          .toArray();
      },
      flowing: async ({ db }) => {
        await db
          .collection('a')
          .aggregate([{ $match: { _id: { $lt: 9 } } }, { $set: { made: 3 } }, { $out: 'out' }])
          .toArray();
        await db
          .collection('a')
          .aggregate([{ $merge: { into: 'new', whenMatched: 'replace' } }])
          .toArray();
      },
    }));

  it('of a collection while its own copy is under way, in replies larger than one', { timeout: 240_000 }, () =>
    migrateScenario({
      pair: pair(),
      options: { chunkMb: 20 },
      before: async ({ db }) => {
        const large = 'l'.repeat(1024 * 1024);
        for (let i = 0; i < 60; i += 10) await db.collection('c').insertMany(many(10, (n) => ({ _id: i + n, large })));
      },
      during: async ({ db }) => {
        await db.renameCollection('c', 'renamed');
        await db.collection('renamed').updateMany({}, { $set: { after: 1 } });
        await db.collection('c').insertMany(rows(10));
      },
    }),
  );

  it('into and out of the chosen namespaces', async () => {
    const [name, outside] = [freshName(), freshName()];
    await migrateScenario({
      pair: pair(),
      db: name,
      options: { include: [`${name}.in*`] },
      before: async ({ db, source }) => {
        for (const own of ['in_a', 'in_b', 'out_a', 'out_b', 'out_c'])
          await db.collection(own).insertMany(rows(60, { of: own }));
        await source.db(outside).collection('far').insertMany(rows());
      },
      during: async ({ db }) => {
        await db.renameCollection('in_a', 'out_of_it');
        await db.renameCollection('out_a', 'in_from_out');
        await db.collection('in_from_out').insertOne({ after: 1 });
      },
      flowing: async ({ db, source }) => {
        await db.renameCollection('out_b', 'in_b', { dropTarget: true });
        await db.collection('in_b').updateMany({}, { $set: { late: 1 } });
        await rename(source, `${outside}.far`, `${name}.in_far`);
        await db.renameCollection('in_from_out', 'out_again');
        await db.renameCollection('out_again', 'in_back');
        // What stays outside must not be there at the end, nor be compared.
        for (const left of ['out_of_it', 'out_c']) await db.collection(left).drop();
      },
      after: async ({ target }) => {
        expect(await names(target, name)).toEqual(['in_b', 'in_back', 'in_far']);
      },
    });
  });
});

describe('drops and creations', () => {
  it('dropDatabase, views and all, and the same name made again', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        for (const name of ['a', 'b', 'c']) await db.collection(name).insertMany(rows(60, { of: name }));
        await db.createCollection('view', { viewOn: 'a', pipeline: [{ $match: { of: 'a' } }] });
        await db.createCollection('series', { timeseries: { timeField: 't', metaField: 'm' } });
        await db.collection('series').insertOne({ t: new Date(), m: 1 });
      },
      during: async ({ db }) => {
        await db.dropDatabase();
        await db.collection('a').insertMany(rows(30, { again: 1 }));
        await db.createCollection('view 2', { viewOn: 'a', pipeline: [] });
      },
      flowing: async ({ db }) => {
        await db.dropDatabase();
        await db.collection('b').insertMany(rows(30, { again: 2 }));
      },
      after: async ({ target, name }) => {
        expect(await names(target, name)).toEqual(['b']);
      },
    }));

  it('a drop and a creation under the same name', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        for (const name of ['a', 'b']) await db.collection(name).insertMany(rows(60, { of: name }));
        await db.collection('a').createIndex({ of: 1 });
      },
      during: async ({ db }) => {
        for (let round = 0; round < 3; round += 1) {
          await db.collection('a').drop();
          await db.createCollection('a', round === 1 ? { capped: true, size: 100_000 } : {});
          await db.collection('a').insertMany(rows(20, { round }));
        }
        await db.collection('b').drop();
        await db.createCollection('b', { collation: { locale: 'fr' } });
      },
      flowing: async ({ db }) => {
        await db.collection('a').drop();
        await db.createCollection('a', { viewOn: 'b', pipeline: [] } as never);
        await db.collection('b').insertMany(rows(10));
      },
    }));

  it('made again with a name that differs in case only', async () => {
    const name = freshName();
    const upper = name.toUpperCase();
    await migrateScenario({
      pair: pair(),
      db: name,
      options: { include: [name, upper] },
      before: async ({ db }) => {
        await db.collection('Orders').insertMany(rows());
        await db.collection('filler').insertMany(rows());
      },
      during: async ({ db }) => {
        await db.collection('Orders').drop();
        await db.collection('orders').insertMany(rows(10, { lower: 1 }));
        await db.collection('ORDERS').insertMany(rows(10, { upper: 1 }));
      },
      flowing: async ({ db, source }) => {
        // A server takes no two databases whose names differ in case only.
        await db.dropDatabase();
        await source
          .db(upper)
          .collection('orders')
          .insertMany(rows(10, { other: 1 }));
      },
      after: async ({ target }) => {
        expect(await names(target, upper)).toEqual(['orders']);
        expect(await names(target, name)).toEqual([]);
      },
    });
  });

  it('a drop during the copy of that collection', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        await db.collection('large').insertMany(rows(400));
        await db.collection('next').insertMany(rows(100));
        await db.collection('stays').insertMany(rows(50));
      },
      during: async ({ db }) => {
        await db.collection('large').drop();
        await db.collection('next').drop();
      },
      after: async ({ copy }) => {
        expect((await copy.collections()).map(({ collectionName }) => collectionName)).toEqual(['stays']);
      },
    }));

  it('a view on a collection that does not exist', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        await db.collection('a').insertMany(rows());
        await db.createCollection('view', { viewOn: 'nowhere', pipeline: [{ $match: { a: 1 } }] });
        await db.createCollection('on view', { viewOn: 'view', pipeline: [] });
      },
      during: async ({ db }) => {
        await db.createCollection('second', { viewOn: 'not here', pipeline: [], collation: { locale: 'de' } });
        await db.command({ collMod: 'view', viewOn: 'nowhere else', pipeline: [{ $project: { b: 1 } }] });
      },
      flowing: async ({ db }) => {
        await db.collection('second').drop();
        await db.collection('nowhere').insertOne({ a: 1 });
      },
    }));

  it('a creation repeated after a fail-over or a restart', async () => {
    const migration = await openMigration(pair(), freshName());
    const { db, pair: both } = migration.stage;
    try {
      await db.createCollection('options', { validator: { a: 1 }, validationAction: 'warn' });
      await db.createCollection('capped', { capped: true, size: 10_000 });
      await db.createCollection('view', { viewOn: 'options', pipeline: [] });
      await db.collection('c').insertMany(rows(100));
      let first = true;
      // The collections are made, and the run ends before it can say so: all are made again.
      armFailpoint('copy.create.after', 1, () => {
        first = false;
        throw new Error('the process ends here');
      });
      await expect(migration.runUntil('copied')).rejects.toThrow('the process ends here');
      expect(first).toBe(false);
      await migration.runUntil('copied');
      await db.createCollection('made while down', { capped: true, size: 5000 });
      armFailpoint('apply.after-structure', 1, () => {
        throw new Error('the process ends here');
      });
      await expect(migration.runUntil('verified')).rejects.toThrow('the process ends here');
      await migration.start();
      await migration.reach('verified');
      await both.target.stepDown();
      await db.createCollection('made after the step-down');
      await migration.stage.caughtUp();
      await migration.ask('cutover');
      await migration.stop();
      expect((await migration.compare()).differences).toEqual([]);
    } finally {
      await migration.close();
    }
  });
});
