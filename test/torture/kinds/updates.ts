import { Decimal128, type Document, Double, Int32, Timestamp } from 'bson';
import type { Kind } from '../kind.ts';
import type { Rng } from '../rng.ts';
import { anyDocument, anyValue, numberIn, ODD_NAMES } from '../values.ts';
import { mixed, shifting, someConcern, someId } from '../world.ts';

const ZERO = new Timestamp({ t: 0, i: 0 });

/** An array field as an array, whatever another operation made of it. */
function arrayOf(path: string): Document {
  return { $cond: [{ $isArray: path }, path, []] };
}

/** Every way to change one document, by name. */
const FORMS: Readonly<Record<string, (rng: Rng) => Document | Document[]>> = {
  set: (rng) => ({
    $set: { [`r${rng.int(10)}`]: anyValue(rng), 'sub.x': anyValue(rng, 0), a: numberIn(rng, rng.int(1000)) },
  }),
  setDeep: (rng) => ({ $set: { [`deep.${rng.int(3)}.k.${rng.int(3)}`]: anyValue(rng, 1) } }),
  unset: (rng) => ({ $unset: { [`r${rng.int(10)}`]: 1, [`sub.${rng.pick(['x', 'y'])}`]: 1 } }),
  inc: (rng) => ({
    $inc: { 'sub.n': rng.pick([new Int32(1), new Double(0.5), Decimal128.fromString('0.1')]), 'counts.c': 1 },
  }),
  mulMinMax: (rng) => ({ $mul: { m: new Double(1.5) }, $min: { low: rng.int(100) }, $max: { high: rng.int(100) } }),
  bit: (rng) => ({ $bit: { bits: { xor: new Int32(rng.int(255)) } } }),
  rename: (rng) => ({ $rename: { [`r${rng.int(5)}`]: `r${rng.between(5, 9)}` } }),
  currentDate: () => ({ $currentDate: { seen: true, stamp: { $type: 'timestamp' } } }),
  push: (rng) => ({
    $push: {
      arr: {
        $each: Array.from({ length: rng.between(1, 4) }, () => new Int32(rng.int(1000))),
        $slice: rng.pick([-8, 8, 0, -20]),
        $position: rng.int(3),
        ...(rng.chance(0.5) ? { $sort: rng.pick([1, -1]) } : {}),
      },
    },
  }),
  pushPlain: (rng) => ({
    $push: { arr: new Int32(rng.int(1000)), items: { k: `k${rng.int(5)}`, v: anyValue(rng, 1) } },
  }),
  addToSetPop: (rng) => ({ $addToSet: { tags: rng.int(6) }, $pop: { arr: rng.pick([1, -1]) } }),
  pull: (rng) => ({ $pull: { arr: { $gt: rng.int(1000) }, items: { k: `k${rng.int(4)}` } } }),
  elements: (rng) => ({
    $set: { [`arr.${rng.int(4)}`]: numberIn(rng, rng.int(9)), [`items.${rng.int(3)}.v`]: anyValue(rng, 1) },
  }),
  pastTheEnd: (rng) => ({ $set: { [`arr.${rng.between(12, 18)}`]: new Int32(1) } }),
  // One diff holds a truncation, an element and a field beside it: a translator that forgets one is caught.
  truncate: (rng) => [
    {
      $set: {
        arr: { $slice: [{ $concatArrays: [[new Int32(rng.int(50))], arrayOf('$arr')] }, rng.between(1, 4)] },
        r1: anyValueLiteral(rng),
        'sub.y': 'z',
      },
    },
  ],
  truncateNested: (rng) => [
    {
      $set: {
        items: { $slice: [arrayOf('$items'), 1] },
        tail: { list: { $slice: [arrayOf('$tail.list'), rng.between(1, 2)] }, n: rng.int(9) },
      },
    },
  ],
  grow: (rng) => [
    {
      $set: {
        tail: { list: { $concatArrays: [arrayOf('$tail.list'), [rng.int(9), { x: rng.int(9) }]] }, n: rng.int(9) },
      },
    },
  ],
  pipeline: (rng) => [
    { $set: { computed: { $concat: ['v', { $toString: rng.int(100) }] }, r2: anyValueLiteral(rng) } },
    { $unset: `r${rng.int(10)}` },
  ],
  oddName: (rng) => [
    {
      $replaceWith: {
        $setField: { field: { $literal: rng.pick(ODD_NAMES) }, input: '$$ROOT', value: anyValueLiteral(rng) },
      },
    },
  ],
  oddNameNested: (rng) => [
    {
      $set: {
        sub: {
          $setField: {
            field: { $literal: rng.pick(ODD_NAMES) },
            input: { $cond: [{ $eq: [{ $type: '$sub' }, 'object'] }, '$sub', {}] },
            value: anyValueLiteral(rng),
          },
        },
      },
    },
  ],
  oddNameGone: (rng) => [
    { $replaceWith: { $unsetField: { field: { $literal: rng.pick(ODD_NAMES) }, input: '$$ROOT' } } },
  ],
  // Null timestamps are replaced on insert at the top level, and must come over as zero all the same.
  zeroTimestamp: () => [{ $set: { zero: { $literal: ZERO }, nested: { zero: { $literal: ZERO } } } }],
  negativeZero: (rng) => ({
    $set: {
      signed: new Double(rng.pick([-0, 0, Number.NaN])),
      decimal: Decimal128.fromString(rng.pick(['0', '-0', '0E+3'])),
    },
  }),
  typeOnly: (rng) => ({ $set: { same: numberIn(rng, 1) } }),
  reorderPipeline: () => [
    { $replaceWith: { $mergeObjects: [{ _id: '$_id', pad: '$pad', b: '$b' }, '$$ROOT', { last: 1 }] } },
  ],
};

/** A random value inside an expression, where `$` would be a path. */
function anyValueLiteral(rng: Rng): Document {
  return { $literal: anyValue(rng) };
}

const SINGLE: readonly Kind[] = Object.entries(FORMS).map(([name, form]) => ({
  name: `update.${name}`,
  weight: 5,
  run: (world, rng) => {
    const collection = rng.chance(0.85) ? mixed(world, rng) : shifting(world, rng);
    return collection.updateOne({ _id: someId(rng) }, form(rng) as never, someConcern(rng));
  },
}));

/** Every form of update. */
export const UPDATE_KINDS: readonly Kind[] = [
  ...SINGLE,
  {
    name: 'updateMany',
    weight: 3,
    run: (world, rng) =>
      mixed(world, rng).updateMany(
        { b: 'blue', h: 'h2', a: { $lt: rng.int(300) } },
        { $inc: { many: 1 }, $set: { r3: anyValue(rng, 1) } },
      ),
  },
  {
    name: 'arrayFilters',
    weight: 5,
    run: (world, rng) =>
      mixed(world, rng).updateOne(
        { _id: someId(rng), arr: { $type: 'array' } } as never,
        { $set: { 'arr.$[big]': new Int32(7), 'items.$[].seen': true } } as never,
        { arrayFilters: [{ big: { $gt: 500 } }] },
      ),
  },
  {
    name: 'upsert',
    weight: 8,
    run: (world, rng) =>
      mixed(world, rng).updateOne(
        { _id: someId(rng) },
        { $set: { a: rng.int(9) }, $setOnInsert: { made: 'upsert' } },
        { upsert: true },
      ),
  },
  {
    name: 'replace',
    weight: 10,
    run: (world, rng) =>
      mixed(world, rng).replaceOne({ _id: someId(rng) }, anyDocument(rng) as never, { upsert: rng.chance(0.5) }),
  },
  {
    // 1 becomes 1.0: the `_id` is equal to the server, and its bytes are others.
    name: 'replaceIdType',
    weight: 3,
    run: async (world, rng) => {
      const n = rng.int(100);
      const id = rng.pick([() => new Int32(n), () => new Double(n)])();
      await mixed(world, rng).replaceOne({ _id: n }, { _id: id, a: new Int32(1), b: 'typed' });
    },
  },
  {
    name: 'findAndModify',
    weight: 6,
    run: (world, rng) =>
      mixed(world, rng).findOneAndUpdate(
        { a: { $gte: rng.int(1000) } },
        { $inc: { taken: 1 } },
        { sort: { a: 1 }, returnDocument: 'after' },
      ),
  },
  {
    name: 'findAndReplace',
    weight: 4,
    run: (world, rng) =>
      mixed(world, rng).findOneAndReplace({ _id: someId(rng) }, anyDocument(rng) as never, { upsert: true }),
  },
  {
    // Taken away and set again, a field goes to the end.
    name: 'fieldOrder',
    weight: 5,
    run: async (world, rng) => {
      const [collection, id] = [mixed(world, rng), someId(rng)];
      await collection.updateOne({ _id: id }, { $unset: { a: 1 } });
      await collection.updateOne({ _id: id }, { $set: { a: numberIn(rng, 5) } });
    },
  },
  {
    // Many array elements at once: translated one by one, the update outgrows every limit.
    name: 'updateWide',
    weight: 0.5,
    run: async (world, rng) => {
      const wide = mixed(world, rng);
      await wide.updateOne(
        { _id: 'wide' },
        { $set: { list: Array.from({ length: 5000 }, (_, i) => i) } },
        { upsert: true },
      );
      await wide.updateOne({ _id: 'wide' }, [
        {
          $set: {
            list: {
              $slice: [
                {
                  $map: {
                    input: '$list',
                    in: { $cond: [{ $eq: [{ $mod: ['$$this', 2] }, 0] }, { $add: ['$$this', 1] }, '$$this'] },
                  },
                },
                4000,
              ],
            },
            beside: rng.int(9),
          },
        },
      ] as never);
    },
  },
  {
    name: 'bulkWrite',
    weight: 6,
    run: (world, rng) =>
      mixed(world, rng).bulkWrite(
        [
          { deleteOne: { filter: { _id: someId(rng) } } },
          { updateOne: { filter: { _id: someId(rng) }, update: { $set: { bulk: rng.int(9) } }, upsert: true } },
          { replaceOne: { filter: { _id: someId(rng) }, replacement: anyDocument(rng) as never } },
          { insertOne: { document: { _id: someId(rng), ...anyDocument(rng) } } },
        ],
        { ordered: rng.chance(0.5) },
      ),
  },
];
