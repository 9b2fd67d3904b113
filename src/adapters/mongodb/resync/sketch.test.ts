import { Decimal128, type Document, Double, Int32, Long, MaxKey, MinKey, ObjectId, serialize } from 'bson';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { streamOf } from '../verify/streams.test-support.ts';
import { foldAll } from './scan.ts';
import { LONGEST_KEY, Sketch } from './sketch.ts';

const SEED = 0x1234_5678_9abc_def0n;

async function sketchOf(left: readonly Document[], right: readonly Document[], differences = 1000) {
  const sketch = new Sketch(differences);
  let docs = 0;
  const count = (more: number) => {
    docs += more;
  };
  const fits = [
    await foldAll(streamOf([left]), sketch, 1, SEED, count),
    await foldAll(streamOf([right.slice(0, 3), right.slice(3)]), sketch, -1, SEED, count),
  ];
  return { sketch, fits, docs };
}

const shown = (keys: readonly Buffer[] | undefined) => keys?.map((key) => key.toString('hex')).sort();
const keysOf = (docs: readonly Document[]) =>
  docs.map(({ _id }) => Buffer.from(serialize({ _id })).toString('hex')).sort();

const arbId = fc.oneof(
  fc.integer().map((n) => new Int32(n)),
  fc.double({ noNaN: true }).map((n) => new Double(n)),
  fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n }).map((n) => Long.fromBigInt(n)),
  fc.string({ maxLength: 12 }),
  fc.uint8Array({ minLength: 12, maxLength: 12 }).map((bytes) => new ObjectId(bytes)),
  fc.record({ a: fc.integer(), b: fc.string({ maxLength: 5 }) }),
  fc.constantFrom(true, false, null, new MinKey(), new MaxKey(), Decimal128.fromString('1.5')),
);
const arbSide = fc.uniqueArray(fc.record({ _id: arbId, n: fc.integer({ min: 0, max: 2 }).map((n) => new Int32(n)) }), {
  selector: ({ _id }) => Buffer.from(serialize({ _id })).toString('hex'),
  maxLength: 60,
});

test('the keys of exactly the documents that one side has and the other has not, in any order', async () => {
  await fc.assert(
    fc.asyncProperty(arbSide, arbSide, fc.array(fc.boolean(), { maxLength: 60 }), async (left, other, same) => {
      const right = [...other, ...left.filter((_doc, i) => same[i])].reverse();
      const byKey = new Map(right.map((doc) => [Buffer.from(serialize({ _id: doc._id })).toString('hex'), doc]));
      const unique = [...byKey.values()];
      const bytes = (docs: readonly Document[]) =>
        new Set(docs.map((doc) => Buffer.from(serialize(doc)).toString('hex')));
      const [inLeft, inRight] = [bytes(left), bytes(unique)];
      const hex = (doc: Document) => Buffer.from(serialize(doc)).toString('hex');
      const expected = [
        ...left.filter((doc) => !inRight.has(hex(doc))),
        ...unique.filter((doc) => !inLeft.has(hex(doc))),
      ];
      const { sketch, fits, docs } = await sketchOf(left, unique);
      expect(fits).toEqual([true, true]);
      expect(docs).toBe(left.length + unique.length);
      expect(shown(sketch.list())).toEqual(keysOf(expected));
    }),
    { numRuns: 200 },
  );
});

test('as many differences as it was made for are told, of many documents', async () => {
  const same = Array.from({ length: 50_000 }, (_, i) => ({ _id: `same ${i}`, i }));
  const left = Array.from({ length: 4_000 }, (_, i) => ({ _id: `left ${i}`, i }));
  const right = Array.from({ length: 4_000 }, (_, i) => ({ _id: `right ${i}`, i }));
  const { sketch } = await sketchOf([...same, ...left], [...right, ...same], 8_000);
  expect(shown(sketch.list())).toEqual(keysOf([...left, ...right]));
});

test('too many are not told wrongly, but not at all', async () => {
  const left = Array.from({ length: 40_000 }, (_, i) => ({ _id: `left ${i}` }));
  const { sketch } = await sketchOf(left, [], 1_000);
  expect(sketch.list()).toBeUndefined();
});

test('a key that is too long is said at once', async () => {
  const fitting = 'x'.repeat(LONGEST_KEY - 5);
  expect((await sketchOf([{ _id: fitting }], [])).sketch.list()).toHaveLength(1);
  expect((await sketchOf([{ _id: `${fitting}x` }], [])).fits).toEqual([false, true]);
});

test('a document that changed is told with both of its states', async () => {
  const { sketch } = await sketchOf([{ _id: 1, n: new Int32(1) }], [{ _id: 1, n: new Double(1) }]);
  expect(sketch.list()).toHaveLength(2);
});
