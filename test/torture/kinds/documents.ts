import { Int32, Long } from 'bson';
import { insertRaw } from '../../tools/raw-insert.ts';
import type { Kind } from '../kind.ts';
import { rawDocument } from '../raw-documents.ts';
import { anyDocument, objectId } from '../values.ts';
import { at, hotId, inTransaction, MIXED, mixed, shifting, someConcern, someId } from '../world.ts';

const MEGABYTE = 1 << 20;

/** Inserts and deletes. */
export const DOCUMENT_KINDS: readonly Kind[] = [
  {
    name: 'insertOne',
    weight: 30,
    run: (world, rng) => mixed(world, rng).insertOne({ _id: someId(rng), ...anyDocument(rng) }, someConcern(rng)),
  },
  {
    name: 'insertMany',
    weight: 10,
    run: (world, rng) =>
      mixed(world, rng).insertMany(
        Array.from({ length: rng.between(2, 60) }, () => ({
          _id: rng.chance(0.3) ? someId(rng) : objectId(rng),
          ...anyDocument(rng),
        })),
        { ordered: rng.chance(0.3), ...someConcern(rng) },
      ),
  },
  {
    name: 'insertShifting',
    weight: 25,
    run: (world, rng) => shifting(world, rng).insertOne({ _id: someId(rng), ...anyDocument(rng) }, someConcern(rng)),
  },
  {
    name: 'insertRaw',
    weight: 6,
    run: (world, rng) =>
      insertRaw(world.client, `${world.names.main}.${rng.pick(MIXED)}`, [
        rawDocument(rng, someId(rng)),
        rawDocument(rng, objectId(rng)),
      ]),
  },
  {
    name: 'insertLarge',
    weight: 0.6,
    run: (world, rng) =>
      mixed(world, rng).insertOne({ _id: `large${rng.int(4)}`, text: 'L'.repeat(rng.between(1, 3) * MEGABYTE), a: 1 }),
  },
  {
    // The largest the server takes: an oplog entry of it is larger than 16 MiB, and it goes again at once.
    name: 'insertLargest',
    weight: 0.05,
    run: async (world) => {
      const largest = at(world.main, 'c1');
      await largest.insertOne({ _id: 'largest', text: 'L'.repeat(16 * MEGABYTE - 40) });
      await largest.deleteOne({ _id: 'largest' });
    },
  },
  {
    name: 'deleteOne',
    weight: 15,
    run: (world, rng) => mixed(world, rng).deleteOne({ _id: someId(rng) }, someConcern(rng)),
  },
  {
    name: 'deleteMany',
    weight: 3,
    run: (world, rng) =>
      mixed(world, rng).deleteMany({ a: { $gte: rng.int(1000) }, b: 'red', h: 'h1', 'sub.x': rng.int(10) }),
  },
  {
    name: 'deleteShifting',
    weight: 6,
    run: (world, rng) => shifting(world, rng).deleteOne({ _id: someId(rng) }),
  },
  {
    name: 'deleteReinsert',
    weight: 12,
    run: async (world, rng) => {
      const [collection, id] = [mixed(world, rng), someId(rng)];
      await collection.deleteOne({ _id: id }, someConcern(rng));
      await collection.insertOne({ _id: id, ...anyDocument(rng) }, someConcern(rng));
    },
  },
  {
    name: 'findOneAndDelete',
    weight: 5,
    run: (world, rng) => mixed(world, rng).findOneAndDelete({ a: { $gt: rng.int(1000) } }, { sort: { a: 1 } }),
  },
  {
    // One document that never rests.
    name: 'hot',
    weight: 20,
    run: async (world, rng) => {
      const hot = at(world.main, rng.pick(MIXED));
      for (let i = 0; i < 8; i += 1) {
        await hot.updateOne(
          { _id: hotId() },
          { $inc: { n: new Int32(1) }, $push: { recent: { $each: [Long.fromNumber(i)], $slice: -10 } } } as never,
          someConcern(rng),
        );
      }
    },
  },
  {
    // Unique values change places: applied one by one, the first would collide with the second.
    name: 'uniqueSwap',
    weight: 8,
    run: async (world, rng) => {
      const pairs = at(world.main, 'pairs');
      const [one, two] = rng.shuffled([...Array(20).keys()]).slice(0, 2) as [number, number];
      await inTransaction(world, async (session) => {
        const first = await pairs.findOne({ _id: one }, { session });
        const second = await pairs.findOne({ _id: two }, { session });
        await pairs.updateOne({ _id: one }, { $set: { u: `away${one}` } }, { session });
        await pairs.updateOne({ _id: two }, { $set: { u: first?.['u'] } }, { session });
        await pairs.updateOne({ _id: one }, { $set: { u: second?.['u'] } }, { session });
      });
    },
  },
  {
    // The same without a transaction: the value is free for an instant.
    name: 'uniqueHandOver',
    weight: 4,
    run: async (world, rng) => {
      const pairs = at(world.main, 'pairs');
      const value = `extra${rng.int(5)}`;
      await pairs.deleteOne({ u: value });
      await pairs.insertOne({ _id: objectId(rng), u: value });
    },
  },
];
