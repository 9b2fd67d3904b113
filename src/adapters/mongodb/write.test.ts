import { Binary, BSONRegExp, Double, EJSON, Int32, Long, MaxKey, ObjectId, serialize } from 'bson';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { arbNumber } from './bson/arbitraries.test-support.ts';
import { fullId, idOfStatement, isDuplicateId, readableId } from './write.ts';

const doc = (value: object) => Buffer.from(serialize(value, { ignoreUndefined: false }));

test.each([
  [{ _id: 1 }, '{"$numberInt":"1"}'],
  [{ _id: new Double(1) }, '{"$numberDouble":"1.0"}'],
  [{ _id: Long.fromNumber(1) }, '{"$numberLong":"1"}'],
  [{ _id: 'a' }, '"a"'],
  [{ x: 1, _id: new ObjectId('0123456789abcdef01234567') }, '{"$oid":"0123456789abcdef01234567"}'],
  [{ _id: { a: new Int32(1), b: 'x' } }, '{"a":{"$numberInt":"1"},"b":"x"}'],
  [{ _id: null }, 'null'],
  [{ _id: new MaxKey() }, '{"$maxKey":1}'],
  [{ _id: new Binary(Buffer.from('hi'), 0) }, '{"$binary":{"base64":"aGk=","subType":"00"}}'],
  [{ _id: { a: new BSONRegExp('(', 'i') } }, '{"a":{"$regularExpression":{"pattern":"(","options":"i"}}}'],
  [{ a: 1 }, '(none)'],
])('%j is named %s', (value, text) => {
  expect(readableId(doc(value))).toBe(text);
  expect(fullId(doc(value))).toBe(text);
});

test('messages get a shortened name, differences the whole one, so that two of them are never taken for one', () => {
  const a = doc({ _id: `${'x'.repeat(500)}a` });
  const b = doc({ _id: `${'x'.repeat(500)}b` });
  expect(readableId(a)).toBe(`"${'x'.repeat(399)}…`);
  expect(fullId(a)).not.toBe(fullId(b));
  expect(EJSON.parse(fullId(a))).toBe(`${'x'.repeat(500)}a`);
});

test('a repair gets back the very key that was named, number for number', () => {
  fc.assert(
    fc.property(arbNumber, (value) => {
      const original = doc({ _id: value });
      const again = doc({ _id: EJSON.parse(fullId(original), { relaxed: false }) });
      expect(again.equals(original)).toBe(true);
    }),
  );
});

test('a key that is not text is shown all the same', () => {
  const ill = doc({ _id: 'ab' });
  ill[ill.length - 4] = 0xff;
  expect(readableId(ill).length).toBeGreaterThan(0);
});

test('the n-th statement of a sequence is found, whether insert, update or delete', () => {
  const inserts = Buffer.concat([doc({ _id: 'a' }), doc({ x: { _id: 'no' }, _id: 'b' })]);
  expect(idOfStatement(inserts, 1)).toBe('"b"');
  const updates = Buffer.concat([doc({ q: { _id: 'a' }, u: {} }), doc({ q: { _id: 'c' }, u: { _id: 'c' } })]);
  expect(idOfStatement(updates, 1)).toBe('"c"');
});

test('only the `_id` index says that the document itself is there', () => {
  const error = { index: 0, code: 11000, message: '' };
  expect(isDuplicateId(error)).toBe(true);
  expect(isDuplicateId({ ...error, keyPattern: { _id: 1 } })).toBe(true);
  expect(isDuplicateId({ ...error, keyPattern: { email: 1 } })).toBe(false);
  expect(isDuplicateId({ ...error, keyPattern: { _id: 1, a: 1 } })).toBe(false);
  expect(isDuplicateId({ ...error, code: 121 })).toBe(false);
});
