import { deserialize, serialize, Timestamp } from 'bson';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arbValue } from './bson/arbitraries.test-support.ts';
import { BsonBuilder } from './bson/builder.ts';
import { docLength } from './bson/walk.ts';
import { appendZeroTimestampRepair, hasZeroTimestamp } from './zero-timestamps.ts';

const zero = () => new Timestamp({ t: 0, i: 0 });
const arbZeroish = fc.constantFrom(zero(), new Timestamp({ t: 0, i: 1 }), new Timestamp({ t: 1, i: 0 }));
const arbDoc = fc.dictionary(
  fc.constantFrom('_id', 'a', 'b', 'c', ''),
  fc.oneof(
    arbValue,
    arbZeroish,
    arbZeroish.map((x) => ({ x })),
    arbZeroish.map((x) => [x]),
  ),
  { maxKeys: 5, noNullPrototype: true },
);

function zeroFields(doc: Buffer): string[] {
  return Object.entries(deserialize(doc, { promoteValues: false, bsonRegExp: true }))
    .filter(([, value]) => value instanceof Timestamp && value.isZero())
    .map(([name]) => name);
}

test('found exactly where a decoded document has one at its top level, wherever it lies in a buffer', () => {
  fc.assert(
    fc.property(arbDoc, fc.nat(20), fc.nat(20), (value, before, after) => {
      const doc = Buffer.from(serialize(value));
      // Zeros before and after belong to somebody else.
      const buf = Buffer.concat([Buffer.alloc(before), doc, Buffer.alloc(after)]);
      expect(hasZeroTimestamp(buf, before, before + doc.length)).toBe(zeroFields(doc).length > 0);
    }),
    { numRuns: 100 },
  );
});

test('the repair names the document and exactly those fields', () => {
  fc.assert(
    fc.property(arbDoc, (value) => {
      const doc = Buffer.from(serialize({ ...value, _id: 7 }));
      fc.pre(zeroFields(doc).length > 0);
      const out = new BsonBuilder();
      appendZeroTimestampRepair(out, doc, 0);
      expect(out.documents).toBe(1);
      const statement = deserialize(out.finish(), { bsonRegExp: true });
      expect(statement['q']).toEqual({ _id: 7 });
      const { $v, diff } = statement['u'][0].$_internalApplyOplogUpdate.oplogUpdate;
      expect($v).toBe(2);
      expect(Object.keys(diff.u).sort()).toEqual(zeroFields(doc).sort());
    }),
    { numRuns: 100 },
  );
});

test('a document without `_id` is left alone', () => {
  const out = new BsonBuilder();
  appendZeroTimestampRepair(out, Buffer.from(serialize({ a: zero() })), 0);
  expect(out.documents).toBe(0);
});

test('the search stays inside its document: many small ones in a large block are cheap', () => {
  const one = Buffer.from(serialize({ _id: 'x'.repeat(100) }));
  const block = Buffer.concat(Array.from({ length: 40_000 }, () => one));
  const began = performance.now();
  for (let at = 0; at < block.length; at += docLength(block, at)) hasZeroTimestamp(block, at, at + one.length);
  // 40,000 searches of the rest of these 4.5 MB took 20 s.
  expect(performance.now() - began).toBeLessThan(2_000);
});
