import { deserialize } from 'bson';
import { expect, test } from 'vitest';
import { Batch } from './batch.ts';
import { rawEntry, trackedOfTests } from './entries.test-support.ts';
import { readEntry } from './entry.ts';

function statementsOf(fields: readonly object[], fuzzy = false) {
  const batch = new Batch(1);
  const collection = trackedOfTests();
  for (const one of fields) batch.add(collection, readEntry(rawEntry(one), 0, true), fuzzy);
  const work = batch.lanes[0]!.get(collection)!;
  return [...work.chains.values()].flatMap(({ statements }) => statements);
}

const kinds = (fields: readonly object[], fuzzy = false) => statementsOf(fields, fuzzy).map(({ kind }) => kind);
const insert = { op: 'i', o: { _id: 1, a: 1 } };
const put = { op: 'u', o: { _id: 1, a: 2 }, o2: { _id: 1 } };
const remove = { op: 'd', o: { _id: 1 } };
const delta = { op: 'u', o: { $v: 2, diff: { u: { a: 3 } } }, o2: { _id: 1 } };
const modify = { op: 'u', o: { $set: { a: 4 } }, o2: { _id: 1 } };

test.each([
  ['an insert and its end', [insert, remove], ['delete']],
  ['the last of several documents', [put, put, put], ['put']],
  ['an insert, replaced', [insert, put], ['put']],
  ['gone and there again', [remove, insert], ['put']],
  ['diffs of one document', [delta, delta, delta], ['deltas']],
  ['diffs after an insert', [insert, delta, delta], ['insert', 'deltas']],
  ['diffs that a document made pointless', [delta, put, delta], ['put', 'deltas']],
  ['modifiers are not merged', [modify, modify], ['modify', 'modify']],
])('%s', (_what, fields, expected) => {
  expect(kinds(fields)).toEqual(expected);
});

test('what may be there already is put, not inserted', () => {
  expect(kinds([insert], true)).toEqual(['put']);
});

test('a document with a field called $v or diff is a document', () => {
  const [statement] = statementsOf([{ op: 'u', o: { _id: 1, $v: 2, diff: {} }, o2: { _id: 1 } }]);
  expect(statement?.kind).toBe('put');
});

test('one update takes no more diffs than the server allows, and they stay in order', () => {
  const fields = Array.from({ length: 1_000 }, (_, n) => ({ ...delta, o: { $v: 2, diff: { u: { n } } } }));
  const statements = statementsOf(fields);
  for (const { deltas } of statements) expect(deltas.length).toBeLessThanOrEqual(400);
  const ns = statements.flatMap(({ deltas }) =>
    deltas.map(({ buf, start, end }) => deserialize(buf.subarray(start, end))['diff'].u.n),
  );
  expect(ns).toEqual(Array.from({ length: 1_000 }, (_, n) => n));
});

test('one update stays far below the size that the server takes', () => {
  const text = 'x'.repeat(1024 * 1024);
  const statements = statementsOf(
    Array.from({ length: 12 }, () => ({ ...delta, o: { $v: 2, diff: { u: { text } } } })),
  );
  for (const { deltas } of statements) expect(deltas.length).toBeLessThanOrEqual(4);
});

test.each([
  ['no _id', { op: 'i', o: { a: 1 } }],
  ['an update of nobody', { op: 'u', o: { $v: 2, diff: {} }, o2: undefined }],
  ['a form of update that is not known', { op: 'u', o: { strange: 1 }, o2: { _id: 1 } }],
])('%s stops the run', (_what, fields) => {
  expect(() => statementsOf([fields])).toThrow(expect.objectContaining({ code: 'GW5003' }));
});

test('every changed key is told, merged or not', () => {
  const told: string[] = [];
  const batch = new Batch(2, (_collection, key) => told.push(key));
  for (const one of [insert, delta, remove]) batch.add(trackedOfTests(), readEntry(rawEntry(one), 0, true), false);
  expect(told).toEqual(['n1', 'n1', 'n1']);
  expect(batch.isEmpty).toBe(false);
});
