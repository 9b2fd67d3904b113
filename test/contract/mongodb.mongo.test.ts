import { type Document, Double, deserialize, Int32, MaxKey, MinKey, serialize, Timestamp } from 'bson';
import { afterAll, beforeAll, describe, expect, onTestFinished, test } from 'vitest';
import { MongoVerifier, type ResyncFindings, type TrackedCollection } from '../../src/adapters/mongodb/index.ts';
import type { Chunk, ChunkCopier, LogBlock } from '../../src/kernel/ports.ts';
import type { Position } from '../../src/kernel/position.ts';
import { describeChangeSourceContract } from './change-source.ts';
import { describeChunkCopierContract } from './chunk-copier.ts';
import { describeChunkVerifierContract } from './chunk-verifier.ts';
import { describeLogApplierContract } from './log-applier.ts';
import { type MongoRoom, MongoWorld, never } from './mongo-world.ts';

let world: MongoWorld;
beforeAll(async () => {
  world = await MongoWorld.start();
});
afterAll(() => world?.stop());

function room(): MongoRoom {
  const made = world.room();
  onTestFinished(() => made.close());
  return made;
}

const timestampOf = (position: Position) =>
  new Timestamp({ t: Number.parseInt(position.slice(0, 8), 16), i: Number.parseInt(position.slice(8), 16) });

function entriesOf(block: LogBlock) {
  const entries = [];
  for (let at = 0; at < block.bytes.length; ) {
    const length = block.bytes.readInt32LE(at);
    entries.push(deserialize(block.bytes.subarray(at, at + length)));
    at += length;
  }
  return entries;
}

describeChangeSourceContract('OplogSource', async () => {
  const here = room();
  await here.from.createCollection('numbers');
  return {
    source: here.log(),
    write: async (numbers) => {
      for (const n of numbers) await here.from.collection('numbers').insertOne({ n });
    },
    numbersIn: (block) =>
      entriesOf(block).flatMap(({ op, ns, o }) => (op === 'i' && ns === `${here.db}.numbers` ? [o.n] : [])),
    lost: '0000000100000001' as Position,
  };
});

describeLogApplierContract('OplogApplier', async () => {
  const here = room();
  const things = here.from.collection<{ _id: number | string; n?: number; list?: number[]; zero?: Timestamp }>(
    'things',
  );
  await here.from.createCollection('things');
  const catalog = await here.catalog();
  await here.createAll(catalog);
  const start = here.startOf(catalog);
  let round = 0;
  return {
    start,
    open: (from) => here.applier(from, catalog.position),
    changeData: async () => {
      round += 1;
      const base = round * 1_000;
      await things.insertMany(Array.from({ length: 40 }, (_, i) => ({ _id: base + i, n: 0 })));
      for (let i = 0; i < 10; i += 1)
        await things.updateMany({ _id: { $gte: base, $lt: base + 20 } }, { $inc: { n: 1 }, $push: { list: i } });
      await things.deleteMany({ _id: { $gte: base + 15, $lt: base + 25 } });
      await things.replaceOne({ _id: base }, { n: new Double(7) } as never);
      await things.insertOne({ _id: `again ${round}`, n: 1 });
      await things.deleteOne({ _id: `again ${round}` });
      await things.insertOne({ _id: `again ${round}`, n: 2 });
    },
    changeStructure: async () => {
      await things.createIndex({ n: 1 });
      await here.from.collection('fresh').insertOne({ n: 1 });
      await things.insertOne({ _id: 'between', n: 5 });
      await here.from.renameCollection('fresh', 'renamed');
      await here.from.collection('renamed').insertOne({ n: 2 });
      await here.from.collection('gone').insertOne({ n: 3 });
      await here.from.dropCollection('gone');
      await things.dropIndex('n_1');
    },
    block: () => here.blockAfter(start.position),
    spoiled: (block) => {
      const last = timestampOf(block.last);
      const ts = new Timestamp({ t: last.t, i: last.i + 1 });
      const bad = serialize({ op: 'c', ns: `${here.db}.$cmd`, o: { unheardOf: 1 }, ts, wall: new Date() });
      const bytes = Buffer.concat([block.bytes, bad]);
      const after = (BigInt(`0x${block.last}`) + 1n).toString(16).padStart(16, '0') as Position;
      return { ...block, last: after, count: block.count + 1, bytes };
    },
    source: () => here.dump('source'),
    target: () => here.dump('target'),
    targetAsOf: (position) => here.dump('target', { level: 'snapshot', atClusterTime: timestampOf(position) }),
  };
});

async function seeded() {
  const here = room();
  const docs = 3_000;
  const things = here.from.collection<{ _id: number | string; text: string; zero?: Timestamp }>('things');
  // Two types of key, so that chunks have bounds of different types.
  await things.insertMany(
    Array.from({ length: docs }, (_, i) => ({ _id: i % 3 === 0 ? `key ${i}` : i, text: 'x'.repeat(100) })),
  );
  await here.from.command({ insert: 'other', documents: [{ _id: 1, text: 'y' }] });
  const catalog = await here.catalog();
  const chunks = await here.chunks(catalog, 60_000);
  await here.createAll(catalog);
  return { here, things, catalog, chunks, docs: docs + 1 };
}

type Seeded = Awaited<ReturnType<typeof seeded>>;

async function copierSubject({ here, things, chunks, docs }: Seeded, copier: ChunkCopier) {
  const firstIds = (await things.find({}, { projection: { _id: 1 } }).toArray()).map(({ _id }) => _id);
  return {
    copier,
    chunks,
    docs,
    source: () => here.dump('source'),
    target: () => here.dump('target'),
    write: async () => {
      for (let i = 0; i < 200; i += 1) await things.insertOne({ _id: `new ${i}`, text: 'z' });
    },
    holdsFirst: async () =>
      (await here.to.collection('things').countDocuments({ _id: { $in: firstIds as never[] } })) === firstIds.length,
    drop: async () => {
      await here.from.dropDatabase();
    },
  };
}

describeChunkCopierContract('MongoCopier', async () => {
  const made = await seeded();
  return copierSubject(made, made.here.copier(made.catalog));
});

describe.each([
  ['in the order of keys', false],
  ['in the order on disk', true],
] as const)('%s', (_order, scan) => {
  describeChunkCopierContract('MongoResyncer', () => resyncSubject(scan));
});

async function resyncSubject(scan: boolean) {
  const made = await seeded();
  const { here, catalog } = made;
  // The target holds something else in places.
  const old = here.copier(catalog);
  for (const chunk of made.chunks.slice(1)) await old.copy(chunk, () => undefined, never);
  const there = here.to.collection<{ _id: number | string; text?: string }>('things');
  await there.updateMany({ _id: { $mod: [7, 2] } } as never, { $set: { text: 'old' } });
  await there.deleteMany({ _id: { $mod: [7, 3] } } as never);
  await there.insertMany(Array.from({ length: 100 }, (_, i) => ({ _id: i + 0.5 })));
  const chunks = scan ? await here.scans(catalog) : made.chunks;
  return copierSubject(
    { ...made, chunks },
    here.resyncer(catalog, () => undefined),
  );
}

test.each([false, true])(
  'MongoResyncer: every kind of document is put right to the byte, and nothing else is written (scan: %s)',
  async (scan) => {
    const here = room();
    const odd = here.from.collection<Document>('odd');
    const write = async (of: 'old' | 'new', db = here.from) => {
      const collection = db.collection<Document>('odd');
      const isNew = of === 'new';
      await collection.deleteMany({});
      const docs: Document[] = [
        { _id: 1, n: isNew ? new Double(1) : new Int32(1) },
        { _id: 2, n: isNew ? new Double(-0) : new Double(0) },
        { _id: isNew ? new Double(3) : new Int32(3), note: 'the key is of another type' },
        { _id: 4, zero: new Timestamp(isNew ? 0n : 5n) },
        { _id: { a: 1, b: isNew ? 2 : 3 } },
        { _id: Number.NaN, of },
        { _id: new MinKey(), of },
        { _id: new MaxKey(), of },
        { _id: 'fields', ...(isNew ? { a: 1, b: 2 } : { b: 2, a: 1 }) },
        { _id: 'same', big: 'x'.repeat(100_000) },
        { _id: 'large', big: of.repeat(5_000_000) },
        { _id: isNew ? 'only new' : 'only old' },
      ];
      for (const doc of docs) await collection.insertOne(doc);
      // Names that begin with a dollar sign come in by an update only.
      await collection.updateOne({ _id: 1 as never }, [
        { $replaceWith: { $setField: { field: { $literal: '$d' }, input: '$$ROOT', value: of } } },
      ]);
    };
    await write('old', here.to);
    await write('new');
    await odd.updateOne({ _id: 4 as never }, [{ $set: { n: 1 } }]);
    const catalog = await here.catalog();
    const found: ResyncFindings[] = [];
    const resync = async () => {
      const resyncer = here.resyncer(catalog, (_spec, one) => void found.push(one));
      const chunks = scan ? await here.scans(catalog) : await here.chunks(catalog, 1e6);
      for (const chunk of chunks) await resyncer.copy(chunk, () => undefined, never);
      const sum = (name: keyof ResyncFindings) => found.reduce((n, one) => n + one[name], 0);
      const total = { missing: sum('missing'), extra: sum('extra'), different: sum('different') };
      found.length = 0;
      return total;
    };
    // By their keys, two of different types are two documents; in order, they are one that is different.
    expect(await resync()).toEqual(
      scan ? { missing: 3, extra: 3, different: 8 } : { missing: 2, extra: 2, different: 9 },
    );
    expect(await here.dump('target')).toEqual(await here.dump('source'));
    expect(await resync()).toEqual({ missing: 0, extra: 0, different: 0 });
  },
);

test('MongoResyncer: unique values that changed hands unseen are put in place together', async () => {
  const here = room();
  const there = here.to.collection<Document>('things');
  const things = here.from.collection<Document>('things');
  const docs = Array.from({ length: 50 }, (_, i) => ({ _id: i, u: i }));
  await there.insertMany(docs as never[]);
  await there.createIndex({ u: 1 }, { unique: true });
  // Everybody has the next one's value; who is far off has the first one's.
  await things.insertMany(docs.map(({ _id }) => ({ _id, u: (_id + 1) % 50 })) as never[]);
  await things.createIndex({ u: 1 }, { unique: true });
  const catalog = await here.catalog();
  let different = 0;
  const resyncer = here.resyncer(catalog, (_spec, found) => {
    different += found.different;
  });
  for (const chunk of await here.chunks(catalog, 1_000)) await resyncer.copy(chunk, () => undefined, never);
  expect(await here.dump('target')).toEqual(await here.dump('source'));
  expect(different).toBeGreaterThan(0);
});

test('MongoResyncer: what a scan cannot tell is found in the order of keys', async () => {
  const here = room();
  const things = here.from.collection<Document>('things');
  // Every document differs, and another collection has keys that are too long for a scan.
  await things.insertMany(Array.from({ length: 20_000 }, (_, i) => ({ _id: i, n: 1 })) as never[]);
  await here.to
    .collection<Document>('things')
    .insertMany(Array.from({ length: 20_000 }, (_, i) => ({ _id: i })) as never[]);
  await here.from.collection<Document>('long').insertMany([{ _id: 'x'.repeat(200) }, { _id: 'y' }] as never[]);
  const catalog = await here.catalog();
  await here.createAll(catalog);
  const found = { missing: 0, extra: 0, different: 0 };
  let docs = 0;
  const resyncer = here.resyncer(catalog, (_spec, one) => {
    for (const name of ['missing', 'extra', 'different'] as const) found[name] += one[name];
  });
  for (const chunk of await here.scans(catalog)) {
    await resyncer.copy(
      chunk,
      (more) => {
        docs += more;
      },
      never,
    );
  }
  expect(await here.dump('target')).toEqual(await here.dump('source'));
  expect(found).toEqual({ missing: 2, extra: 0, different: 20_000 });
  expect(docs).toBe(20_002);
});

test.each([false, true])(
  'MongoResyncer: under a collation, keys that are equal but not the same are exchanged (scan: %s)',
  async (scan) => {
    const here = room();
    const collation = { locale: 'en', strength: 2 };
    for (const db of [here.from, here.to]) await db.createCollection('words', { collation });
    const words = (db: typeof here.from) => db.collection<Document>('words');
    await words(here.from).insertMany(['a', 'B', 'c', 'é', 'zz'].map((_id) => ({ _id, n: 1 })) as never[]);
    await words(here.to).insertMany(['A', 'b', 'c', 'D', 'é'].map((_id) => ({ _id, n: 1 })) as never[]);
    const catalog = await here.catalog();
    const resyncer = here.resyncer(catalog, () => undefined);
    const chunks = scan ? await here.scans(catalog) : await here.chunks(catalog, 1e6);
    for (const chunk of chunks) await resyncer.copy(chunk, () => undefined, never);
    expect(await here.dump('target')).toEqual(await here.dump('source'));
  },
);

describeChunkVerifierContract('MongoVerifier', async () => {
  const { here, catalog, chunks, docs } = await seeded();
  const copier = here.copier(catalog);
  for (const chunk of chunks) await copier.copy(chunk, () => undefined, never);
  const collections = new Map<string, TrackedCollection>(
    (here.startOf(catalog).memory as { collections: TrackedCollection[] }).collections.map((one) => [one.uuid, one]),
  );
  const applier = await here.applier(here.startOf(catalog), catalog.position);
  let moment = { source: catalog.position, target: catalog.position };
  let between: () => Promise<void> = async () => undefined;
  /** Applies what the log holds by now: both sides are the same at the moment after it. */
  const catchUp = async () => {
    for await (const step of applier.apply(await here.blockAfter(moment.source), never)) {
      moment = { source: step.position, target: step.targetPosition };
    }
  };
  await catchUp();
  const verifier = new MongoVerifier({
    source: here.world.source,
    target: here.world.target,
    readFrom: 'primary',
    moment: async () => moment,
    collection: (uuid) => collections.get(uuid),
    settle: async () => {
      await between();
      await catchUp();
    },
    still: () => false,
  });
  onTestFinished(() => verifier.close());
  const target = here.to.collection<{ _id: number | string; text?: string; n?: unknown }>('things');
  const source = here.from.collection<{ _id: number | string; text?: string; n?: unknown }>('things');
  return {
    verifier,
    chunks: chunks as readonly Chunk[],
    docs,
    damage: async () => {
      await target.deleteOne({ _id: 1 });
      await target.deleteOne({ _id: 'key 2997' });
      await target.insertOne({ _id: 1.5, text: 'extra' });
      await target.updateOne({ _id: 2 }, { $set: { text: 'X' } });
      await source.updateOne({ _id: 4 }, { $set: { n: 1 } });
      await catchUp();
      await target.updateOne({ _id: 4 }, { $set: { n: new Double(1) } });
      await catchUp();
      return [
        { kind: 'missing', key: '{"$numberInt":"1"}' },
        { kind: 'missing', key: '"key 2997"' },
        { kind: 'extra', key: '{"$numberDouble":"1.5"}' },
        { kind: 'different', key: '{"$numberInt":"2"}' },
        { kind: 'different', key: '{"$numberInt":"4"}' },
      ];
    },
    live: () => {
      let going = true;
      const writing = (async () => {
        for (let i = 0; going; i += 1)
          await source.updateMany(
            { _id: { $gte: (i * 50) % 3_000, $lt: ((i * 50) % 3_000) + 50 } },
            { $set: { n: i } },
          );
      })();
      const applying = (async () => {
        while (going) await catchUp();
      })();
      return {
        stop: async () => {
          going = false;
          await Promise.all([writing, applying]);
        },
      };
    },
    hot: async () => {
      await target.updateOne({ _id: 5 }, { $set: { text: 'wrong' } });
      let n = 0;
      // The log changes another field each time, so that both digests are new at every look.
      between = async () => {
        n += 1;
        await source.updateOne({ _id: 5 }, { $set: { n } });
      };
      await between();
      await catchUp();
      return { kind: 'different', key: '{"$numberInt":"5"}' };
    },
  };
});

test('MongoCopier: a capped collection is filled under the limits that the source has by then, not under those of the listing', async () => {
  const here = room();
  await here.from.createCollection('ring', { capped: true, size: 100_000, max: 10 });
  const ring = here.from.collection<{ _id: number }>('ring');
  await ring.insertMany(Array.from({ length: 10 }, (_, i) => ({ _id: i })));
  const catalog = await here.catalog();
  await here.from.command({ collMod: 'ring', cappedMax: 100 });
  await ring.insertMany(Array.from({ length: 50 }, (_, i) => ({ _id: 10 + i })));
  await here.createAll(catalog);
  const copier = here.copier(catalog);
  let docs = 0;
  for (const chunk of await here.chunks(catalog, 1e6))
    await copier.copy(
      chunk,
      (more) => {
        docs += more;
      },
      never,
    );
  expect((await here.to.collection<{ _id: number }>('ring').find().toArray()).map(({ _id }) => _id)).toEqual(
    Array.from({ length: 60 }, (_, i) => i),
  );
  expect(docs).toBe(60);
});
