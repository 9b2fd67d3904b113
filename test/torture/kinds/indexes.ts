import type { CreateIndexesOptions, IndexSpecification } from 'mongodb';
import type { Kind } from '../kind.ts';
import type { Rng } from '../rng.ts';
import { objectId } from '../values.ts';
import { at, MIXED, mixed, SHIFTING, type World } from '../world.ts';

type Index = readonly [IndexSpecification, CreateIndexesOptions];

/** Every kind of index with its options. */
const KINDS: readonly Index[] = [
  [{ b: 1 }, { name: 'plain' }],
  [{ b: 1, a: -1 }, { name: 'compound' }],
  [{ arr: 1, b: 1 }, { name: 'multikey' }],
  [{ 'items.k': 1 }, { name: 'into_items' }],
  [{ only: 1 }, { name: 'partial', partialFilterExpression: { a: { $gt: 100 }, b: { $exists: true } } }],
  [{ rare: 1 }, { name: 'sparse', sparse: true }],
  [{ unique: 1 }, { name: 'unique_sparse', unique: true, sparse: true }],
  [
    { unique: 1, a: 1 },
    { name: 'unique_partial', unique: true, partialFilterExpression: { unique: { $exists: true } } },
  ],
  [{ 'sub.$**': 1 }, { name: 'wild' }],
  [{ '$**': 1 }, { name: 'wild_all', wildcardProjection: { pad: 0, text: 0 } }],
  [
    { txt: 'text', b: 'text' },
    { name: 'words', weights: { txt: 5 }, default_language: 'none', language_override: 'lang' },
  ],
  [{ loc: '2dsphere' }, { name: 'sphere', sparse: true }],
  [{ pt: '2d' }, { name: 'flat', min: -180, max: 180, bits: 20 }],
  [{ h: 'hashed' }, { name: 'hashed' }],
  [{ b: 1 }, { name: 'folded', collation: { locale: 'en', strength: 2 } }],
  [{ pad: 1 }, { name: 'hidden', hidden: true }],
  [{ seen: 1 }, { name: 'ttl', expireAfterSeconds: 100_000_000 }],
  [
    { low: 1, high: 1 },
    { name: 'described', storageEngine: { wiredTiger: { configString: '' } } },
  ],
];

/** Where indexes come and go. */
function anywhere(world: World, rng: Rng): ReturnType<typeof mixed> {
  return rng.chance(0.6) ? mixed(world, rng) : at(world.main, rng.pick(SHIFTING));
}

/** Indexes built, changed and dropped. */
export const INDEX_KINDS: readonly Kind[] = [
  ...KINDS.map(([key, options]) => ({
    name: `createIndex.${options.name}`,
    weight: 0.4,
    run: (world: World, rng: Rng) => anywhere(world, rng).createIndex(key, options),
  })),
  {
    name: 'createIndexesTogether',
    weight: 0.5,
    run: (world, rng) =>
      anywhere(world, rng).createIndexes([
        { key: { t1: 1 }, name: 't1' },
        { key: { t2: -1 }, name: 't2', sparse: true },
        { key: { t1: 1, t2: 1 }, name: 't1_t2' },
      ]),
  },
  {
    // A build that takes a moment, over documents that change under it.
    name: 'buildOnData',
    weight: 0.7,
    run: (world, rng) =>
      at(world.main, rng.pick(MIXED)).createIndex(
        { [`r${rng.int(4)}`]: 1, 'sub.n': 1 },
        { name: `built${rng.int(3)}` },
      ),
  },
  {
    // Fails on duplicates: the log has a start and an abort of a build.
    name: 'buildAborted',
    weight: 0.7,
    run: (world, rng) => at(world.main, rng.pick(MIXED)).createIndex({ b: 1, h: 1 }, { unique: true, name: 'never' }),
  },
  {
    name: 'buildAndDrop',
    weight: 0.5,
    run: async (world, rng) => {
      const collection = at(world.main, rng.pick(MIXED));
      const build = collection.createIndex({ pad: -1, a: 1, b: 1 }, { name: 'short_lived' });
      const dropped = collection.dropIndex('short_lived').catch(() => {});
      await Promise.all([build, dropped]);
      await collection.dropIndex('short_lived');
    },
  },
  {
    name: 'createUnique',
    weight: 0.7,
    run: async (world, rng) => {
      await at(world.main, 'd0').createIndex({ key: 1 }, { unique: true, name: 'key_unique' });
      await at(world.main, 'd0').insertOne({ _id: objectId(rng), key: rng.int(1e9) });
    },
  },
  {
    name: 'dropIndex',
    weight: 3,
    run: (world, rng) => anywhere(world, rng).dropIndex(rng.pick(KINDS)[1].name ?? ''),
  },
  { name: 'dropAllIndexes', weight: 0.3, run: (world, rng) => at(world.main, rng.pick(SHIFTING)).dropIndexes() },
  {
    name: 'collModTtl',
    weight: 0.7,
    run: ({ main }, rng) =>
      main.command({
        collMod: rng.pick(MIXED),
        index: { name: 'ttl', expireAfterSeconds: rng.pick([100_000_000, 200_000_000]) },
      }),
  },
  {
    name: 'collModHidden',
    weight: 0.7,
    run: ({ main }, rng) => main.command({ collMod: rng.pick(MIXED), index: { name: 'a_1', hidden: rng.chance(0.5) } }),
  },
  {
    name: 'collModUnique',
    weight: 0.4,
    run: async ({ main }, rng) => {
      const name = `once${rng.int(2)}`;
      await at(main, 'd1').createIndex({ [name]: 1 }, { name, sparse: true });
      await main.command({ collMod: 'd1', index: { name, prepareUnique: true } });
      await main.command({ collMod: 'd1', index: { name, unique: true } });
    },
  },
];
