import { Double, Int32 } from 'bson';
import type { Kind } from '../kind.ts';
import { anyDocument, anyValue, idOf, objectId } from '../values.ts';
import { at } from '../world.ts';

const FOLDED = ['a', 'A', 'b', 'B', 'é', 'É'];

let nextEntry = 0;

/** Collections with rules of their own, the ledger, and the neighbour. */
export const SPECIAL_KINDS: readonly Kind[] = [
  {
    // Acknowledged by a majority: each of these must be on the target, once.
    name: 'ledger',
    weight: 15,
    run: async ({ main, ledger }, rng) => {
      const n = nextEntry;
      nextEntry += 1;
      ledger.attempted.add(n);
      await at(main, 'ledger').insertOne({ _id: objectId(rng), n: new Int32(n) }, { writeConcern: { w: 'majority' } });
      ledger.acknowledged.add(n);
    },
  },
  {
    name: 'capped',
    weight: 12,
    run: ({ main }, rng) =>
      rng.chance(0.7)
        ? at(main, 'ring').insertOne({ _id: objectId(rng), n: rng.int(1e6), pad: 'r'.repeat(rng.int(900)) })
        : at(main, 'ring').insertMany(
            Array.from({ length: 10 }, () => ({ _id: objectId(rng), n: new Int32(rng.int(1e6)) })),
          ),
  },
  {
    name: 'cappedUpdate',
    weight: 4,
    run: ({ main }, rng) =>
      at(main, 'ring').updateOne({ n: { $gt: rng.int(1e6) } }, { $set: { n: new Int32(rng.int(1e6)) } }),
  },
  {
    name: 'cappedDelete',
    weight: 1,
    run: ({ main }, rng) => at(main, 'ring').deleteOne({ n: { $gt: rng.int(1e6) } }),
  },
  {
    name: 'series',
    weight: 10,
    run: ({ main }, rng) =>
      at(main, 'series').insertMany(
        Array.from({ length: rng.between(1, 8) }, () => ({
          _id: objectId(rng),
          t: new Date(1_700_000_000_000 + rng.int(7_200_000)),
          m: { sensor: rng.int(5) },
          v: anyValue(rng, 1),
        })),
        { ordered: rng.chance(0.5) },
      ),
  },
  {
    name: 'seriesUpdate',
    weight: 2,
    run: ({ main }, rng) =>
      at(main, 'series').updateMany({ 'm.sensor': rng.int(5) }, { $set: { 'm.place': rng.pick(['roof', 'cellar']) } }),
  },
  {
    name: 'seriesDelete',
    weight: 1,
    run: ({ main }, rng) => at(main, 'series').deleteMany({ 'm.sensor': rng.int(5) }),
  },
  {
    name: 'clustered',
    weight: 8,
    run: ({ main }, rng) => {
      const id = idOf(rng.int(200));
      const tidy = at(main, 'tidy');
      return rng.pick([
        () => tidy.insertOne({ _id: id, ...anyDocument(rng) }),
        () => tidy.updateOne({ _id: id }, { $set: { a: rng.int(9) } }, { upsert: true }),
        () => tidy.deleteOne({ _id: id }),
      ])();
    },
  },
  {
    // Equal under the collation, other bytes: spread by bytes, the delete may overtake the insert.
    name: 'collated',
    weight: 10,
    run: async ({ main }, rng) => {
      const folded = at(main, 'folded');
      const letter = rng.int(3) * 2;
      await folded.deleteOne({ _id: FOLDED[letter] ?? '' });
      await folded.insertOne({ _id: FOLDED[letter + rng.int(2)] ?? '', n: rng.int(1000) });
      await folded.updateOne({ _id: FOLDED[letter] ?? '' }, { $inc: { n: 1 } });
    },
  },
  {
    name: 'fleeting',
    weight: 5,
    run: ({ main }, rng) =>
      at(main, 'fleeting').insertOne({
        _id: objectId(rng),
        at: new Date(Date.now() + rng.pick([-5000, 0, 2000, 3_600_000])),
      }),
  },
  {
    name: 'imaged',
    weight: 5,
    run: ({ main }, rng) =>
      at(main, 'imaged').updateOne({ _id: rng.int(40) }, { $set: { v: anyValue(rng, 1) } }, { upsert: true }),
  },
  {
    name: 'checked',
    weight: 4,
    run: ({ main }, rng) =>
      at(main, 'checked').updateOne(
        { _id: rng.int(40) },
        { $set: { [rng.pick(['a', 'b'])]: new Double(rng.int(9)) } },
        {
          upsert: true,
          bypassDocumentValidation: rng.chance(0.3),
        },
      ),
  },
  {
    name: 'neighbour',
    weight: 15,
    run: ({ neighbour }, rng) =>
      rng.chance(0.8)
        ? at(neighbour, 'own').updateOne({ _id: rng.int(50) }, { $inc: { n: 1 } })
        : at(neighbour, 'own').updateOne(
            { _id: rng.between(50, 90) },
            { $set: { v: anyValue(rng, 1) } },
            { upsert: true },
          ),
  },
  {
    name: 'neighbourStructure',
    weight: 1,
    run: async ({ neighbour }, rng) => {
      const name = `n${rng.int(2)}`;
      await at(neighbour, name).insertOne({ _id: objectId(rng) });
      await at(neighbour, name).createIndex({ x: 1 });
      if (rng.chance(0.5)) await at(neighbour, name).drop();
    },
  },
];
