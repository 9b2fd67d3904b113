import type { Kind } from '../kind.ts';
import type { Rng } from '../rng.ts';
import { anyDocument, objectId } from '../values.ts';
import { type Any, at, SHIFTING, type World } from '../world.ts';

function some(rng: Rng, count: number): Any[] {
  return Array.from({ length: count }, () => ({ _id: objectId(rng), ...anyDocument(rng) }));
}

function rename(world: World, from: string, to: string, dropTarget = false): Promise<unknown> {
  return world.client.db('admin').command({ renameCollection: from, to, dropTarget });
}

/** Collections made, dropped, renamed and converted, databases dropped, views. */
export const STRUCTURE_KINDS: readonly Kind[] = [
  {
    name: 'create',
    weight: 3,
    run: ({ main }, rng) =>
      main.createCollection(
        rng.pick(SHIFTING),
        rng.pick([
          {},
          { validator: { a: { $exists: true } }, validationLevel: 'moderate' as const },
          { collation: { locale: 'de', strength: 1 } },
          { capped: true, size: 40_000 },
          { clusteredIndex: { key: { _id: 1 }, unique: true } },
          { changeStreamPreAndPostImages: { enabled: true } },
          { storageEngine: { wiredTiger: { configString: 'block_compressor=zlib' } } },
        ]),
      ),
  },
  { name: 'drop', weight: 2, run: ({ main }, rng) => main.dropCollection(rng.pick(SHIFTING)) },
  {
    // The same name, another collection: whoever knows collections by name mixes the two up.
    name: 'recreate',
    weight: 2,
    run: async ({ main }, rng) => {
      const name = rng.pick(SHIFTING);
      await at(main, name).insertMany(some(rng, 5));
      await main.dropCollection(name);
      await at(main, name).insertMany(some(rng, 20));
    },
  },
  {
    // Names that differ in case only cannot stand in two databases; in two collections they can.
    name: 'recreateOtherCase',
    weight: 1,
    run: async ({ main }, rng) => {
      await main.dropCollection('d3');
      await at(main, 'D3').insertMany(some(rng, 3));
      await main.dropCollection('D3');
      await at(main, 'd3').insertMany(some(rng, 3));
    },
  },
  {
    name: 'rename',
    weight: 2,
    run: async (world, rng) => {
      const [from, to] = rng.shuffled(SHIFTING).slice(0, 2);
      await rename(world, `${world.names.main}.${from}`, `${world.names.main}.${to}`);
    },
  },
  {
    name: 'renameDropTarget',
    weight: 2,
    run: async (world, rng) => {
      const [from, to] = rng.shuffled(SHIFTING).slice(0, 2);
      await rename(world, `${world.names.main}.${from}`, `${world.names.main}.${to}`, true);
    },
  },
  {
    // Between databases the server copies into a temporary collection.
    name: 'renameAcross',
    weight: 1,
    run: (world, rng) => {
      const [a, b] = rng.shuffled([world.names.main, world.names.scratch]);
      return rename(world, `${a}.${rng.pick(SHIFTING)}`, `${b}.${rng.pick(SHIFTING)}`, rng.chance(0.7));
    },
  },
  {
    name: 'renameOut',
    weight: 0.7,
    run: (world, rng) =>
      rename(world, `${world.names.main}.${rng.pick(SHIFTING)}`, `${world.names.neighbour}.moved${rng.int(3)}`, true),
  },
  {
    name: 'renameIn',
    weight: 0.7,
    run: async (world, rng) => {
      const name = `moved${rng.int(3)}`;
      await at(world.neighbour, name).insertMany(some(rng, 5));
      await rename(world, `${world.names.neighbour}.${name}`, `${world.names.main}.${rng.pick(SHIFTING)}`, true);
    },
  },
  {
    name: 'out',
    weight: 1.5,
    run: ({ main }, rng) =>
      at(main, 'c0')
        .aggregate([{ $limit: rng.between(1, 200) }, { $out: rng.pick([...SHIFTING, 'result']) }])
        .toArray(),
  },
  {
    name: 'outAcross',
    weight: 0.7,
    run: ({ main, names }, rng) =>
      at(main, 'c1')
        .aggregate([{ $limit: 50 }, { $out: { db: names.scratch, coll: rng.pick(SHIFTING) } }])
        .toArray(),
  },
  {
    name: 'merge',
    weight: 1.5,
    run: ({ main }, rng) =>
      at(main, 'c1')
        .aggregate([
          { $match: { h: 'h1' } },
          { $limit: 50 },
          { $merge: { into: rng.pick(['d0', 'result']), whenMatched: 'replace' } },
        ])
        .toArray(),
  },
  {
    name: 'convertToCapped',
    weight: 0.7,
    run: ({ main }, rng) => main.command({ convertToCapped: rng.pick(SHIFTING), size: 60_000 }),
  },
  {
    name: 'cloneAsCapped',
    weight: 0.5,
    run: async ({ main }, rng) => {
      await main.dropCollection('clone');
      await main.command({ cloneCollectionAsCapped: rng.pick(SHIFTING), toCollection: 'clone', size: 50_000 });
    },
  },
  {
    name: 'resizeCapped',
    weight: 0.7,
    run: ({ main }, rng) =>
      main.command({ collMod: 'ring', cappedSize: rng.between(30, 90) * 1024, cappedMax: rng.between(100, 300) }),
  },
  {
    name: 'collModValidator',
    weight: 1.5,
    run: ({ main }, rng) =>
      main.command({
        collMod: rng.pick(['checked', ...SHIFTING]),
        validator: rng.pick([{ a: { $gte: rng.int(5) } }, {}, { $expr: { $lt: ['$a', 1000] } }]),
        validationLevel: rng.pick(['off', 'moderate', 'strict']),
        validationAction: rng.pick(['warn', 'error']),
      }),
  },
  {
    name: 'collModImages',
    weight: 1,
    run: ({ main }, rng) =>
      main.command({ collMod: rng.pick(['imaged', 'd1']), changeStreamPreAndPostImages: { enabled: rng.chance(0.5) } }),
  },
  {
    name: 'collModSeries',
    weight: 0.5,
    run: ({ main }, rng) =>
      main.command({ collMod: 'series', expireAfterSeconds: rng.pick([1_000_000_000, 'off', 2_000_000_000]) }),
  },
  {
    name: 'createSeries',
    weight: 0.7,
    run: async ({ main }, rng) => {
      const name = `series${rng.int(2)}`;
      await main.dropCollection(name);
      await main.createCollection(name, {
        timeseries: { timeField: 't', metaField: 'm' },
        ...(rng.chance(0.5) ? { expireAfterSeconds: 1_000_000_000 } : {}),
      });
      await at(main, name).insertMany(
        Array.from({ length: 5 }, (_, i) => ({ _id: objectId(rng), t: new Date(1_700_000_000_000 + i * 1000), m: 1 })),
      );
    },
  },
  {
    name: 'viewCreate',
    weight: 1.2,
    run: ({ main }, rng) =>
      main.createCollection(`v${rng.int(3)}`, {
        viewOn: rng.pick(['c0', 'd0', 'missing', 'v0']),
        pipeline: [{ $match: { a: rng.int(9) } }],
        ...(rng.chance(0.3) ? { collation: { locale: 'en' } } : {}),
      }),
  },
  {
    name: 'viewModify',
    weight: 1,
    run: ({ main }, rng) =>
      main.command({ collMod: `v${rng.int(3)}`, viewOn: rng.pick(['c1', 'd1']), pipeline: [{ $project: { a: 1 } }] }),
  },
  { name: 'viewDrop', weight: 0.8, run: ({ main }, rng) => main.dropCollection(`v${rng.int(3)}`) },
  {
    name: 'scratchWrite',
    weight: 6,
    run: ({ scratch }, rng) => at(scratch, rng.pick(SHIFTING)).insertMany(some(rng, 3)),
  },
  {
    name: 'dropDatabase',
    weight: 0.5,
    run: async ({ scratch }, rng) => {
      await scratch.dropDatabase();
      await at(scratch, 'd0').insertMany(some(rng, 2));
    },
  },
];
