import { type Document, Double, deserialize, Int32, Long, serialize } from 'bson';
import { expect, test } from 'vitest';
import { idKey } from '../bson/compare.ts';
import { elementEnd, valueOffset } from '../bson/walk.ts';
import { trackedOfTests } from '../log/entries.test-support.ts';
import { TouchedKeys } from './touched.ts';

function touch(keys: TouchedKeys, collection: ReturnType<typeof trackedOfTests>, id: unknown): void {
  const buf = Buffer.from(serialize({ _id: id } as Document));
  const slice = { buf, start: valueOffset(buf, 4), end: elementEnd(buf, 4) };
  keys.add(collection, idKey(buf[4]!, buf, slice.start, slice.end), slice, buf[4]!);
}

const A = trackedOfTests({ uuid: 'a' });
const B = trackedOfTests({ uuid: 'b' });
const idsOf = (keys: TouchedKeys, uuid: string) =>
  (new Map(keys.entries()).get(uuid) ?? []).map((raw) => deserialize(raw, { promoteValues: false })['_id']);

test('a key is kept once, as the bytes to look it up by', () => {
  const keys = new TouchedKeys();
  for (const id of ['x', 'y', 'x', 'x']) touch(keys, A, id);
  touch(keys, B, 'x');
  expect(idsOf(keys, 'a')).toEqual(['x', 'y']);
  expect(idsOf(keys, 'b')).toEqual(['x']);
  expect(keys.size).toBe(3);
});

test('large numbers that round to the same double are all kept', () => {
  const keys = new TouchedKeys();
  for (let i = 0n; i < 300n; i += 1n) touch(keys, A, Long.fromBigInt(1_700_000_000_000_000_000n + i));
  expect(keys.size).toBe(300);
  touch(keys, A, { a: Long.fromBigInt(2n ** 60n) });
  touch(keys, A, { a: Long.fromBigInt(2n ** 60n + 1n) });
  expect(keys.size).toBe(302);
});

test('equal numbers of other types may be kept twice: looking once too often does no harm', () => {
  const keys = new TouchedKeys();
  touch(keys, A, new Int32(1));
  touch(keys, A, new Double(1));
  expect(keys.size).toBeGreaterThanOrEqual(1);
});

test('what is kept is a copy', () => {
  const keys = new TouchedKeys();
  const buf = Buffer.from(serialize({ _id: 'x' }));
  keys.add(A, 'sx', { buf, start: 9, end: buf.length - 1 }, 2);
  buf.fill(0);
  expect(idsOf(keys, 'a')).toEqual(['x']);
});

test('a collection whose order is its meaning is compared as a whole anyway', () => {
  const keys = new TouchedKeys();
  touch(keys, trackedOfTests({ capped: true }), 'x');
  expect(keys.size).toBe(0);
});

test('at 300,000 keys a collection is only named, until it is proved anew', () => {
  const keys = new TouchedKeys();
  touch(keys, B, 'kept');
  // One buffer, changed in place: making 300,000 documents is what would take long.
  const buf = Buffer.from(serialize({ _id: new Int32(0) }));
  const slice = { buf, start: 9, end: 13 };
  for (let i = 0; i < 300_005; i += 1) {
    buf.writeInt32LE(i, 9);
    keys.add(A, `n${i}`, slice, 0x10);
  }
  expect([...keys.overflowed]).toEqual(['a']);
  expect(keys.size).toBe(1);
  expect(idsOf(keys, 'a')).toEqual([]);
  touch(keys, B, 'another');
  expect(idsOf(keys, 'b')).toEqual(['kept', 'another']);

  keys.forget(new Set(['a', 'unknown']));
  expect(keys.overflowed.size).toBe(0);
  touch(keys, A, 'again');
  expect(idsOf(keys, 'a')).toEqual(['again']);
  keys.forget(new Set(['b']));
  expect(keys.size).toBe(1);
  keys.clear();
  expect(keys.entries()).toEqual([]);
  expect(keys.size).toBe(0);
});
