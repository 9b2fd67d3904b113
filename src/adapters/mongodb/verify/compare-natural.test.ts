import { type Document, EJSON } from 'bson';
import { expect, test } from 'vitest';
import { compareNatural } from './compare-natural.ts';
import { streamOf } from './streams.test-support.ts';

async function compare(left: readonly Document[], right: readonly Document[], still: boolean) {
  const source = streamOf([left.slice(0, 2), left.slice(2)]);
  const target = streamOf([right]);
  await target.next();
  await source.next();
  const { drift, docs } = await compareNatural('a.log', source, target, still, () => undefined);
  expect(docs).toBe(left.length);
  return drift.map(({ kind, key }) => `${kind} ${EJSON.parse(key)}`);
}

const docs = (...ids: (number | Document)[]) => ids.map((id) => (typeof id === 'number' ? { _id: id } : id));

test.each([
  ['nothing', docs(), docs(), []],
  ['the same', docs(1, 2, 3), docs(1, 2, 3), []],
  ['another order', docs(1, 2, 3), docs(2, 1, 3), ['different 1']],
  ['one less', docs(1, 2, 3), docs(1, 2), ['missing 3']],
  ['one more', docs(1, 2), docs(1, 2, 3), ['extra 3']],
  ['the oldest left over', docs(2, 3), docs(1, 2, 3), ['different 2']],
  ['other content', docs(1, { _id: 2, a: 1 }), docs(1, { _id: 2, a: 2 }), ['different 2']],
])('at standstill the first difference counts: %s', async (_what, left, right, expected) => {
  expect(await compare(left, right, true)).toEqual(expected);
});

test.each([
  ['the same window', docs(1, 2, 3), docs(1, 2, 3), []],
  ['the source is ahead', docs(2, 3, 4), docs(1, 2, 3), ['extra 1', 'missing 4']],
  ['an order that differs', docs(1, 2, 3), docs(3, 1, 2), ['different 1']],
  ['one missing in the middle', docs(1, 2, 3), docs(1, 3), ['missing 2']],
  ['other content', docs(1, { _id: 2, a: 1 }, 3), docs(1, { _id: 2, a: 2 }, 3), ['different 2']],
])(
  'while the source lives every difference is told, for the verifier to look at again: %s',
  async (_what, left, right, expected) => {
    expect((await compare(left, right, false)).sort()).toEqual(expected);
  },
);
