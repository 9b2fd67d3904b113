import { deserialize, Int32, Long, serialize } from 'bson';
import { expect, test } from 'vitest';
import {
  bigint,
  defineMigration,
  integer,
  json,
  mongoCollection,
  type Row,
  text,
} from '../../../kernel/remodel/index.ts';
import { documentsOf } from './documents.ts';

const columns = {
  id: bigint().named('_id'),
  a: integer().nullable().named('in.a'),
  b: text().nullable().named('in.deep.b'),
  c: json().nullable(),
};
const model = (from: typeof columns) =>
  defineMigration({
    name: 'x',
    key: 'id',
    from: mongoCollection('old', from),
    to: { root: mongoCollection('new', from) },
    up: (old) => ({ root: old }),
    down: ({ root }) => root,
    inverse: { policy: 'block' },
  });
const { old } = documentsOf(model(columns));
const raw = (document: object) => Buffer.from(serialize(document));
const _id = Long.fromNumber(1);
const row = (values: Row): Row => ({ id: 1n, a: null, b: null, c: null, ...values });

test('absent, null and without a parent are one value', () => {
  for (const document of [{ _id }, { _id, in: null, c: null }, { _id, in: { deep: null } }, { _id, in: {} }])
    expect(old.decode(raw(document))).toEqual(row({}));
  expect(old.decode(raw({ _id, in: { a: new Int32(1), deep: { b: 'x' } } }))).toEqual(row({ a: 1, b: 'x' }));
  for (const document of [{ _id, in: 'x' }, { _id, in: [{ a: 1 }] }, { _id, in: { a: 'x' } }, { in: {} }])
    expect(() => old.decode(raw(document))).toThrow(expect.objectContaining({ code: 'GW5006' }));
});

/** What the server would make of the document. */
function apply(document: object, values: Row): unknown {
  const changes = old.changes(raw(document), row(values));
  const plain = (value: object | undefined) => (value === undefined ? {} : deserialize(serialize(value)));
  return {
    ...(changes?.$set && { set: plain(changes.$set) }),
    ...(changes?.$unset && { unset: Object.keys(changes.$unset) }),
  };
}

test('an update names what differs, and no other field', () => {
  const document = { _id, in: { a: new Int32(1), deep: { b: 'x' } }, c: { k: 1 }, z: 1 };
  expect(apply(document, { a: 1, b: 'x', c: '{"k":1}' })).toEqual({});
  expect(apply(document, { a: 1, b: 'x', c: ' {"k" : 1} ' })).toEqual({});
  expect(apply(document, { a: 2, b: 'x', c: '{"k":1.0}' })).toEqual({ set: { 'in.a': 2, c: { k: 1 } } });
  expect(apply(document, { a: 1, c: '{"k":1}' })).toEqual({ unset: ['in.deep'] });
  expect(apply(document, { c: '{"k":1}' })).toEqual({ unset: ['in'] });
  expect(apply({ _id, in: { a: new Int32(1), other: 1 } }, {})).toEqual({ unset: ['in.a'] });
  expect(apply({ _id, in: { deep: null } }, {})).toEqual({});
  expect(apply({ _id, in: { deep: null } }, { b: 'x' })).toEqual({ set: { 'in.deep': { b: 'x' } } });
  expect(apply({ _id, in: null }, { a: 1, b: 'x' })).toEqual({ set: { in: { a: 1, deep: { b: 'x' } } } });
  expect(apply({ _id }, { a: 1 })).toEqual({ set: { in: { a: 1 } } });
  expect(apply({ _id, in: { a: 'wrong type' } }, { a: 1 })).toEqual({ set: { 'in.a': 1 } });
  expect(() => apply({ _id, in: 'x' }, { a: 1 })).toThrow('not a document');
});

test('paths that cannot be are refused', () => {
  for (const a of ['c.x', '', 'a..b', '$x', '_id.x']) {
    const broken = { ...columns, a: integer().nullable().named(a) };
    expect(() => documentsOf(model(broken))).toThrow(expect.objectContaining({ code: 'GW1006' }));
  }
});
