import { type Document, Double, EJSON, Int32, serialize } from 'bson';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { compareStreams } from './compare-streams.ts';
import { digestOf } from './digest.ts';
import { streamOf } from './streams.test-support.ts';

/** Cuts documents into batches, some of them empty. */
function cut(docs: readonly Document[], sizes: readonly number[]): Document[][] {
  const batches: Document[][] = [];
  let at = 0;
  for (const size of sizes) {
    batches.push(docs.slice(at, at + size));
    at += size;
  }
  batches.push(docs.slice(at));
  return batches;
}

const arbDocs = fc
  .dictionary(fc.constantFrom('0', '1', '2', '3', '4', '5', '6', '7'), fc.integer({ min: 0, max: 2 }), {
    noNullPrototype: true,
  })
  .map((byId) => Object.entries(byId).map(([id, n]) => ({ _id: new Int32(Number(id)), n: new Int32(n) })));
const arbSizes = fc.array(fc.nat(3), { maxLength: 4 });

function expectedDrift(left: readonly Document[], right: readonly Document[]): string[] {
  const byId = (docs: readonly Document[]) => new Map(docs.map((doc) => [doc['_id'].value as number, doc]));
  const a = byId(left);
  const b = byId(right);
  const rows: string[] = [];
  for (const id of new Set([...a.keys(), ...b.keys()])) {
    const x = a.get(id);
    const y = b.get(id);
    if (!y) rows.push(`missing ${id}`);
    else if (!x) rows.push(`extra ${id}`);
    else if (x['n'].value !== y['n'].value) rows.push(`different ${id}`);
  }
  return rows.sort();
}

const shown = (drift: readonly { kind: string; key: string }[]) =>
  drift.map(({ kind, key }) => `${kind} ${EJSON.parse(key)}`).sort();

test.each([true, false])('finds exactly what differs, however the replies are cut (in order: %s)', async (ordered) => {
  await fc.assert(
    fc.asyncProperty(
      arbDocs,
      arbDocs,
      arbSizes,
      arbSizes,
      fc.boolean(),
      async (left, right, cutLeft, cutRight, turned) => {
        const there = turned && !ordered ? [...right].reverse() : right;
        const source = streamOf(cut(left, cutLeft));
        const target = streamOf(cut(there, cutRight));
        let docs = 0;
        let bytes = 0;
        const verdict = await compareStreams('a.b', source, target, ordered, (moreDocs, moreBytes) => {
          docs += moreDocs;
          bytes += moreBytes;
        });
        expect(shown(verdict.drift)).toEqual(expectedDrift(left, right));
        expect(verdict.docs).toBe(left.length);
        expect(verdict.bytes).toBe(left.reduce((sum, doc) => sum + serialize(doc).length, 0));
        expect([docs, bytes]).toEqual([verdict.docs, verdict.bytes]);
        expect(verdict.truncated).toBe(false);
      },
    ),
    { numRuns: 60 },
  );
});

test('finds exactly what differs in long stretches of equal documents', async () => {
  const docs = Array.from({ length: 4_000 }, (_, i) => ({
    _id: new Int32(i),
    n: new Int32(0),
    pad: 'p'.repeat((i * 37) % 150),
  }));
  const other = docs
    .filter((_doc, i) => i % 1_300 !== 7)
    .map((doc, i) => (i % 1_700 === 900 ? { ...doc, n: new Int32(1), pad: 'changed' } : doc));
  for (const sizes of [[], [1, 1_999], [2_500, 10]]) {
    for (const [left, right] of [
      [docs, other],
      [other, docs],
    ] as const) {
      const verdict = await compareStreams('a.b', streamOf(cut(left, [700])), streamOf(cut(right, sizes)), true, () => {
        // Progress is tested above.
      });
      expect(shown(verdict.drift)).toEqual(expectedDrift(left, right));
      expect(verdict.docs).toBe(left.length);
    }
  }
});

test('every reply is given back', async () => {
  const source = streamOf([[{ _id: 1 }], [], [{ _id: 2 }]]);
  const target = streamOf([[{ _id: 1 }, { _id: 2 }]]);
  await compareStreams('a.b', source, target, true, () => undefined);
  expect([source.released(), target.released()]).toEqual([3, 1]);
});

test('type, order of fields, and the very digits count', async () => {
  for (const [a, b] of [
    [
      { _id: 1, n: new Int32(1) },
      { _id: 1, n: new Double(1) },
    ],
    [
      { _id: 1, a: 1, b: 2 },
      { _id: 1, b: 2, a: 1 },
    ],
    [
      { _id: 1, z: new Double(0) },
      { _id: 1, z: new Double(-0) },
    ],
    [{ _id: new Int32(1) }, { _id: new Double(1) }],
  ] as const) {
    const verdict = await compareStreams('a.b', streamOf([[a]]), streamOf([[b]]), true, () => undefined);
    expect(verdict.drift).toMatchObject([
      {
        unit: 'a.b',
        kind: 'different',
        sourceDigest: digestOf(Buffer.from(serialize(a))),
        targetDigest: digestOf(Buffer.from(serialize(b))),
      },
    ]);
  }
});

test('documents whose long keys begin alike are not taken for each other', async () => {
  const id = (end: string) => ({ _id: 'x'.repeat(600) + end });
  const verdict = await compareStreams(
    'a.b',
    streamOf([[id('a'), id('b')]]),
    streamOf([[id('c')]]),
    false,
    () => undefined,
  );
  expect(verdict.drift.map(({ kind }) => kind).sort()).toEqual(['extra', 'missing', 'missing']);
});

test('the list of differences is bounded, and says so', async () => {
  const docs = Array.from({ length: 6_000 }, (_, n) => ({ _id: n }));
  const verdict = await compareStreams('a.b', streamOf([docs]), streamOf([[]]), true, () => undefined);
  expect(verdict.drift.length).toBe(5_000);
  expect(verdict.truncated).toBe(true);
});
