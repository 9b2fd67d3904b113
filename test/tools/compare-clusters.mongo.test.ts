import { Binary, Double, Int32, Long, type MongoClient, ObjectId, Timestamp } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../servers/index.ts';
import { type Comparison, compareClusters } from './compare-clusters.ts';
import { insertRaw } from './raw-insert.ts';

let set: ReplicaSet;
let client: MongoClient;

beforeAll(async () => {
  set = await startReplicaSet({ setParameter: { ttlMonitorEnabled: false } });
  client = await set.client();
});
afterAll(() => set?.stop());

/** Two databases of one server, one renamed to the other, so that both sides can be planted with anything. */
async function fill(db: string): Promise<void> {
  const at = client.db(db);
  await at.collection<{ _id: unknown }>('mixed').insertMany([
    { _id: new Int32(1), a: new Int32(1), b: 'x', bytes: new Binary(Buffer.from([1, 2, 3])) },
    { _id: new Double(Number.NaN), a: new Double(-0) },
    { _id: { a: new Int32(1), b: new Int32(2) }, a: [10, 20] },
    { _id: { b: new Int32(2), a: new Int32(1) }, nested: { t: new Timestamp({ t: 0, i: 0 }) } },
    { _id: 'text', a: Long.fromInt(7) },
    { _id: new ObjectId('64b000000000000000000001'), a: null },
  ] as never[]);
  await at.collection('mixed').createIndexes([
    { key: { a: 1 }, unique: true, sparse: true, name: 'a_1' },
    { key: { when: 1 }, expireAfterSeconds: 3600, name: 'when_1' },
    { key: { '$**': 1 }, name: 'all' },
  ]);
  const capped = await at.createCollection('ring', { capped: true, size: 4096 });
  for (let i = 0; i < 5; i += 1) await capped.insertOne({ _id: (i * 7) % 5 } as never);
  await at.createCollection('series', { timeseries: { timeField: 't', metaField: 'm' } });
  await at.collection('series').insertMany(
    [1, 2, 3].map((i) => ({
      _id: new ObjectId(`64b00000000000000000010${i}`),
      t: new Date(i * 1000),
      m: 'one',
      v: i,
    })),
  );
  await at.createCollection('folded', { collation: { locale: 'en', strength: 2 } });
  await at.collection('folded').insertMany([{ _id: 'b' }, { _id: 'A' }] as never[]);
  await at.createCollection('tidy', { clusteredIndex: { key: { _id: 1 }, unique: true } });
  await at.collection('tidy').insertOne({ _id: 3 } as never);
  await at.createCollection('checked', {
    validator: { n: { $gt: 0 } },
    changeStreamPreAndPostImages: { enabled: true },
  });
  await at.createCollection('seen', { viewOn: 'mixed', pipeline: [{ $match: { a: 1 } }] });
}

/** Bucket ids are the server's own, so a second side gets the first one's bytes. */
async function twins(name: string): Promise<{ left: string; right: string }> {
  const [left, right] = [`${name}_l`, `${name}_r`];
  await fill(left);
  await fill(right);
  const buckets = 'system.buckets.series';
  const first = await client.db(left).collection(buckets).find({}, { raw: true }).toArray();
  await client.db(right).collection('series').deleteMany({ m: 'one' });
  await rawInsert(right, buckets, first as unknown as Buffer[]);
  return { left, right };
}

const rawInsert = (db: string, collection: string, docs: readonly Buffer[]): Promise<void> =>
  insertRaw(client, `${db}.${collection}`, docs);

async function judge({ left, right }: { left: string; right: string }): Promise<Comparison> {
  return compareClusters(set.uri, set.uri, { include: (db) => db === left, rename: [`${left}=${right}`] });
}

test('equal sides are equal, whatever is in them', async () => {
  const pair = await twins('equal');
  const verdict = await judge(pair);
  expect(verdict.differences).toEqual([]);
  expect(verdict).toMatchObject({ equal: true, documents: 6 + 5 + 1 + 2 + 1 });
});

const plants: [string, (right: string) => Promise<unknown>, RegExp][] = [
  [
    'one bit',
    (db) =>
      client
        .db(db)
        .collection('mixed')
        .updateOne({ _id: 1 as never }, { $set: { bytes: new Binary(Buffer.from([1, 2, 2])) } }),
    /mixed: document .*"1".* differs/,
  ],
  [
    'one type',
    (db) =>
      client
        .db(db)
        .collection('mixed')
        .updateOne({ _id: 1 as never }, { $set: { a: new Double(1) } }),
    /differs/,
  ],
  [
    'the sign of zero',
    (db) =>
      client
        .db(db)
        .collection('mixed')
        .updateOne({ _id: Number.NaN as never }, { $set: { a: 0.0 } }),
    /NaN.*differs/,
  ],
  [
    'the order of fields',
    async (db) => {
      await client
        .db(db)
        .collection('mixed')
        .updateOne({ _id: 1 as never }, { $unset: { a: 1 } });
      await client
        .db(db)
        .collection('mixed')
        .updateOne({ _id: 1 as never }, { $set: { a: new Int32(1) } });
    },
    /differs/,
  ],
  [
    'the type of an _id',
    (db) =>
      client
        .db(db)
        .collection('tidy')
        .replaceOne({ _id: 3 as never }, { _id: new Double(3) } as never),
    /tidy: document/,
  ],
  [
    'a missing document',
    (db) =>
      client
        .db(db)
        .collection('mixed')
        .deleteOne({ _id: 'text' as never }),
    /"text".* missing on the target/,
  ],
  [
    'an extra document',
    (db) =>
      client
        .db(db)
        .collection('mixed')
        .insertOne({ _id: 'zzz' } as never),
    /"zzz".* only on the target/,
  ],
  [
    'a missing index',
    (db) => client.db(db).collection('mixed').dropIndex('a_1'),
    /index a_1: exists on the source, \(none\)/,
  ],
  [
    'an index option',
    (db) => client.db(db).command({ collMod: 'mixed', index: { name: 'when_1', expireAfterSeconds: 60 } }),
    /when_1: expireAfterSeconds: 3600 on the source, 60/,
  ],
  [
    'a hidden index',
    (db) => client.db(db).command({ collMod: 'mixed', index: { name: 'a_1', hidden: true } }),
    /a_1: hidden/,
  ],
  [
    'an option',
    (db) => client.db(db).command({ collMod: 'checked', validationLevel: 'moderate' }),
    /checked: option validationLevel/,
  ],
  [
    'pre-images',
    (db) => client.db(db).command({ collMod: 'checked', changeStreamPreAndPostImages: { enabled: false } }),
    /changeStreamPre/,
  ],
  [
    'the order of a capped collection',
    async (db) => {
      await client.db(db).collection('ring').drop();
      const ring = await client.db(db).createCollection('ring', { capped: true, size: 4096 });
      for (let i = 0; i < 5; i += 1) await ring.insertOne({ _id: i } as never);
    },
    /ring: capped: at position 1/,
  ],
  [
    'a capped document too few',
    (db) =>
      client
        .db(db)
        .collection('ring')
        .insertOne({ _id: 9 } as never),
    /ring: capped: the target has 1 more/,
  ],
  [
    'a bucket',
    (db) =>
      client
        .db(db)
        .collection('series')
        .insertOne({ t: new Date(9e9), m: 'two', v: 9 }),
    /system\.buckets\.series: document .* only on the target/,
  ],
  [
    'a view',
    (db) => client.db(db).command({ collMod: 'seen', viewOn: 'mixed', pipeline: [{ $match: { a: 2 } }] }),
    /seen: option pipeline/,
  ],
  ['a collection too many', (db) => client.db(db).createCollection('more'), /more: is only on the target/],
  ['a collection too few', (db) => client.db(db).collection('folded').drop(), /folded: is missing on the target/],
];

test('every planted difference is named, and it alone', { timeout: 120_000 }, async () => {
  const { left, right } = await twins('planted');
  for (const [what, plant, expected] of plants) {
    await plant(right);
    const verdict = await judge({ left, right });
    expect(verdict.equal, what).toBe(false);
    expect(verdict.differences.join('\n'), what).toMatch(expected);
    // Make the sides equal again, so that each plant is found on its own.
    await client.db(right).dropDatabase();
    await fill(right);
    const buckets = (await client
      .db(left)
      .collection('system.buckets.series')
      .find({}, { raw: true })
      .toArray()) as unknown as Buffer[];
    await client.db(right).collection('series').deleteMany({ m: 'one' });
    await rawInsert(right, 'system.buckets.series', buckets);
  }
  expect((await judge({ left, right })).differences).toEqual([]);
});
