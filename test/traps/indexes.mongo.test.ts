/** Traps in indexes: uniqueness that a replay breaks for a moment, builds under way, and every kind there is. */
import type { Collection, Db, Document } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { waitFor } from '../servers/index.ts';
import { migrateScenario, usePair } from './harness.ts';

const pair = usePair();
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const by = (id: unknown): never => ({ _id: id }) as never;
const pad = 'x'.repeat(60);
const indexesOf = async (c: Collection): Promise<Document[]> => c.listIndexes().toArray();

describe('indexes', () => {
  it('unique values swapped again and again during the copy, with eight lanes', () =>
    migrateScenario({
      pair: pair(),
      options: { applyLanes: 8, lanes: 1 },
      applyTwice: true,
      before: async ({ db }) => {
        await db.collection('c').insertMany(many(200, (i) => ({ _id: i, u: `v${i}`, pad })));
        await db.collection('c').createIndex({ u: 1 }, { unique: true });
        await db.collection('c').createIndex({ u: -1 }, { unique: true, sparse: true });
      },
      holdAfter: 2,
      during: async ({ db }) => swap(db.collection('c'), 60),
      copied: async ({ db }) => swap(db.collection('c'), 60),
      flowing: async ({ db }) => swap(db.collection('c'), 60),
      after: async ({ copy }) => {
        const unique = (await indexesOf(copy.collection('c'))).filter((index) => index['unique']);
        expect(unique).toHaveLength(2);
        await expect(copy.collection('c').insertOne({ u: 'v1' })).rejects.toMatchObject({ code: 11000 });
      },
    }));

  it('a unique and a plain index on the same keys', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        const c = db.collection('c');
        await c.insertMany(many(80, (i) => ({ _id: i, a: i, b: i, pad })));
        await c.createIndex({ a: 1 }, { name: 'plain a' });
        await c.createIndex({ a: 1 }, { name: 'unique a', unique: true });
      },
      during: async ({ db }) => {
        await db.collection('c').createIndex({ b: 1 }, { name: 'unique b', unique: true });
        await db.collection('c').createIndex({ b: 1 }, { name: 'plain b' });
      },
      flowing: async ({ db }) => {
        await db.collection('c').createIndex({ a: 1, b: 1 }, { name: 'unique ab', unique: true });
        await db.collection('c').createIndex({ a: 1, b: 1 }, { name: 'plain ab' });
      },
      after: async ({ copy }) => {
        const names = (await indexesOf(copy.collection('c'))).map(
          ({ name, unique }) => `${String(name)}${unique ? '!' : ''}`,
        );
        expect(names.sort()).toEqual([
          '_id_',
          'plain a',
          'plain ab',
          'plain b',
          'unique a!',
          'unique ab!',
          'unique b!',
        ]);
      },
    }));

  it('an index build under way at the first time point', async () => {
    const admin = (await pair().source.client()).db('admin');
    let building: Promise<unknown> | undefined;
    const hang = 'hangAfterStartingIndexBuild';
    try {
      await migrateScenario({
        pair: pair(),
        before: async ({ db }) => {
          await db.collection('c').insertMany(many(80, (i) => ({ _id: i, a: i, pad })));
          const { count } = await admin.command({ configureFailPoint: hang, mode: 'alwaysOn' });
          building = db.collection('c').createIndex({ a: 1 }, { name: 'under way', unique: true });
          building.catch(() => undefined);
          await admin.command({ waitForFailPoint: hang, timesEntered: Number(count) + 1, maxTimeMS: 30_000 });
        },
        copied: async ({ db, copy }) => {
          expect((await indexesOf(copy.collection('c'))).map(({ name }) => String(name))).toEqual(['_id_']);
          await db.collection('c').insertOne({ a: 1000 });
          await admin.command({ configureFailPoint: hang, mode: 'off' });
          await building;
        },
        after: async ({ copy }) => {
          expect((await indexesOf(copy.collection('c'))).map(({ name }) => String(name))).toEqual([
            '_id_',
            'under way',
          ]);
        },
      });
    } finally {
      await admin.command({ configureFailPoint: hang, mode: 'off' });
    }
  });

  it('an index build that is aborted, one whose collection is dropped, one created and dropped', async () => {
    const admin = (await pair().source.client()).db('admin');
    const hang = 'hangAfterStartingIndexBuild';
    const hanging = async (
      db: Db,
      name: string,
      index: Document,
      options: Document,
    ): Promise<{ building: Promise<unknown> }> => {
      const { count } = await admin.command({ configureFailPoint: hang, mode: 'alwaysOn' });
      const building = db.collection(name).createIndex(index as never, options);
      building.catch(() => undefined);
      await admin.command({ waitForFailPoint: hang, timesEntered: Number(count) + 1, maxTimeMS: 30_000 });
      return { building };
    };
    try {
      await migrateScenario({
        pair: pair(),
        before: async ({ db }) => {
          await db.collection('c').insertMany(many(80, (i) => ({ _id: i, a: i % 7, pad })));
          await db.collection('gone').insertMany(many(80, (i) => ({ _id: i, a: i, pad })));
        },
        during: async ({ db }) => {
          // Fails on its own: its keys are not unique.
          await expect(db.collection('c').createIndex({ a: 1 }, { unique: true })).rejects.toThrow();
          await db.collection('c').createIndex({ a: 1 }, { name: 'short-lived' });
          await db.collection('c').dropIndex('short-lived');
          await db.collection('c').createIndex({ pad: 1 }, { name: 'stays' });
        },
        copied: async ({ db }) => {
          const { building } = await hanging(db, 'c', { a: -1 }, { name: 'aborted' });
          let over = false;
          const ended = (): void => {
            over = true;
          };
          const dropping = db.collection('c').dropIndex('aborted');
          dropping.then(ended, ended);
          await waitFor(async () => over || (await opsOf(admin, { 'command.dropIndexes': 'c' })) > 0, {
            timeoutMs: 20_000,
            what: 'the index drop to be under way',
          });
          await admin.command({ configureFailPoint: hang, mode: 'off' });
          await dropping;
          await expect(building).rejects.toThrow();
          const second = await hanging(db, 'gone', { a: 1 }, { name: 'dropped with it' });
          over = false;
          const drop = db.collection('gone').drop();
          drop.then(ended, ended);
          await waitFor(async () => over || (await opsOf(admin, { 'command.drop': 'gone' })) > 0, {
            timeoutMs: 20_000,
            what: 'the drop to be under way',
          });
          await admin.command({ configureFailPoint: hang, mode: 'off' });
          await drop;
          await expect(second.building).rejects.toThrow();
        },
        flowing: async ({ db }) => {
          await db.collection('c').createIndex({ a: 1, pad: 1 }, { name: 'late and short' });
          await db.collection('c').dropIndex('late and short');
          await db.collection('c').dropIndex('stays');
          await db.collection('c').createIndex({ pad: -1 }, { name: 'stays' });
        },
      });
    } finally {
      await admin.command({ configureFailPoint: hang, mode: 'off' });
    }
  });

  it('every kind of index, with legacy key values, and 64 of them', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        await kinds(db, 'before');
        await db.collection('full').insertMany(many(60, (i) => ({ _id: i, pad })));
        for (let i = 0; i < 63; i += 1) await db.collection('full').createIndex({ [`f${i}`]: 1 });
      },
      during: async ({ db }) => kinds(db, 'during'),
      flowing: async ({ db }) => kinds(db, 'flowing'),
      after: async ({ copy }) => {
        expect(await indexesOf(copy.collection('full'))).toHaveLength(64);
        expect((await indexesOf(copy.collection('before'))).length).toBeGreaterThan(15);
      },
    }));

  it('collMod: validators, pre-images, capped size, hidden indexes, a prepared unique index', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        await db.createCollection('c', { validator: { a: { $exists: true } } });
        await db.collection('c').insertMany(many(60, (i) => ({ _id: i, a: i, b: i, c: i, pad })));
        await db.collection('c').createIndexes([
          { key: { a: 1 }, name: 'a' },
          { key: { b: 1 }, name: 'b', hidden: true },
          { key: { c: 1 }, name: 'c' },
          { key: { a: 1, b: 1 }, name: 'ab' },
        ]);
        await db.createCollection('capped', { capped: true, size: 8192, max: 100 });
        await db.collection('capped').insertMany(many(40, (i) => ({ _id: i, pad })));
        await mod(db, 'c', { index: { name: 'ab', prepareUnique: true } });
      },
      during: async ({ db }) => {
        await mod(db, 'c', {
          validator: { b: { $type: 'int' } },
          validationLevel: 'moderate',
          validationAction: 'warn',
        });
        await mod(db, 'c', { changeStreamPreAndPostImages: { enabled: true } });
        await mod(db, 'c', { index: { name: 'a', hidden: true } });
        await mod(db, 'c', { index: { keyPattern: { b: 1 }, hidden: false } });
        await mod(db, 'capped', { cappedSize: 5000, cappedMax: 30 });
        await db.collection('capped').insertMany(many(50, (i) => ({ _id: 100 + i, pad })));
      },
      flowing: async ({ db }) => {
        await mod(db, 'c', { index: { name: 'c', prepareUnique: true } });
        await mod(db, 'c', { index: { name: 'c', unique: true } });
        await mod(db, 'c', { validator: {}, validationLevel: 'off' });
        await mod(db, 'c', { changeStreamPreAndPostImages: { enabled: false } });
        await mod(db, 'capped', { cappedMax: 1000 });
        await db.collection('capped').insertMany(many(50, (i) => ({ _id: 200 + i, pad })));
      },
      after: async ({ copy, db }) => {
        const found = Object.fromEntries(
          (await indexesOf(copy.collection('c'))).map((index) => [index['name'], index]),
        );
        expect(found['a']).toMatchObject({ hidden: true });
        expect(found['b']?.['hidden']).toBeUndefined();
        expect(found['c']).toMatchObject({ unique: true });
        expect(await copy.collection('capped').countDocuments()).toBe(await db.collection('capped').countDocuments());
      },
    }));
});

async function opsOf(admin: Db, filter: Document): Promise<number> {
  return (
    await admin.aggregate([{ $currentOp: { allUsers: true, idleConnections: true } }, { $match: filter }]).toArray()
  ).length;
}

const mod = (db: Db, collMod: string, change: Document): Promise<unknown> => db.command({ collMod, ...change });

/** Two documents exchange their unique values, in the three writes it takes. */
async function swap(c: Collection, times: number): Promise<void> {
  for (let i = 0; i < times; i += 1) {
    const [a, b] = [i % 200, (i * 37 + 11) % 200];
    if (a === b) continue;
    const [one, two] = [await c.findOne(by(a)), await c.findOne(by(b))];
    await c.updateOne(by(a), { $set: { u: `temporary ${i}` } });
    await c.updateOne(by(b), { $set: { u: one?.['u'] } });
    await c.updateOne(by(a), { $set: { u: two?.['u'] } });
  }
}

async function kinds(db: Db, name: string): Promise<void> {
  const c = db.collection(name);
  await c.insertMany(
    many(40, (i) => ({
      _id: i,
      a: i,
      b: `text ${i}`,
      t: 'grüner Vogel',
      geo: { type: 'Point', coordinates: [i, i] },
      flat: [i, i],
      m: [i, { x: i }],
      pad,
    })),
  );
  const indexes = [
    { key: { a: 1 }, name: 'partial', partialFilterExpression: { a: { $gt: 5 } } },
    { key: { a: -1 }, name: 'sparse', sparse: true },
    { key: { '$**': 1 }, name: 'wildcard', wildcardProjection: { pad: 0, 'm.x': 0 } },
    { key: { 'm.$**': 1 }, name: 'sub wildcard' },
    {
      key: { t: 'text', b: 'text', a: 1 },
      name: 'text',
      weights: { t: 5 },
      default_language: 'german',
      language_override: 'lang',
    },
    { key: { geo: '2dsphere' }, name: 'sphere' },
    { key: { geo: '2dsphere', a: 1 }, name: 'sphere 2', '2dsphereIndexVersion': 2 },
    { key: { flat: '2d' }, name: 'flat', bits: 20, min: -100, max: 200.5 },
    { key: { a: 'hashed' }, name: 'hashed' },
    { key: { _id: 'hashed' }, name: 'hashed id' },
    { key: { b: 1 }, name: 'collated', collation: { locale: 'de', strength: 2, numericOrdering: true } },
    { key: { b: -1 }, name: 'hidden', hidden: true },
    { key: { m: 1, 'm.x': -1 }, name: 'multikey' },
    { key: { 9: 1, 10: 1, 1: 1 }, name: 'digits' },
    { key: { a: 1, pad: 1 }, name: 'unique partial', unique: true, partialFilterExpression: { a: { $lt: 100 } } },
    { key: { pad: 1 }, name: 'engine', storageEngine: { wiredTiger: {} } },
  ];
  for (const index of indexes) await db.command({ createIndexes: name, indexes: [index] });
  // What servers before 3.4 took for an order, and still keep. New ones refuse some of them.
  const legacy = [
    { key: { z: 0 }, name: 'zero' },
    { key: { z: '' }, name: 'empty' },
    { key: { z: -1e-10 }, name: 'tiny' },
    { key: { z: 2 }, name: 'two' },
    { key: { z: -3.5 }, name: 'minus' },
    { key: { z: 1e300 }, name: 'huge' },
  ];
  let taken = 0;
  for (const index of legacy)
    await db.command({ createIndexes: name, indexes: [index] }).then(
      () => (taken += 1),
      () => undefined,
    );
  expect(taken).toBeGreaterThan(2);
}
