import { serialize, Timestamp } from 'bson';
import fc from 'fast-check';
import { expect, test } from 'vitest';
import { POSITION_ZERO } from '../../kernel/position.ts';
import { positionBefore, positionOf, positionOfTimestamp, readPosition, secondsOf, timestampOf } from './position.ts';

const uint32 = fc.oneof(
  fc.integer({ min: 0, max: 0xffffffff }),
  fc.constantFrom(0, 1, 9, 10, 15, 16, 0x7fffffff, 0x80000000, 0xffffffff),
);

test('a position is read from bytes, written as a timestamp, and comes back', () => {
  fc.assert(
    fc.property(uint32, uint32, (t, i) => {
      const position = positionOf(t, i);
      expect(position).toMatch(/^[0-9a-f]{16}$/);
      expect(timestampOf(position)).toMatchObject({ t, i });
      expect(positionOfTimestamp(timestampOf(position))).toBe(position);
      expect(secondsOf(position)).toBe(t);
      const doc = Buffer.from(serialize({ ts: new Timestamp({ t, i }) }));
      expect(readPosition(doc, 8)).toBe(position);
    }),
  );
});

test('string order is timestamp order', () => {
  fc.assert(
    fc.property(uint32, uint32, uint32, uint32, (t1, i1, t2, i2) => {
      const a = positionOf(t1, i1);
      const b = positionOf(t2, i2);
      expect(Math.sign(t1 - t2 || i1 - i2)).toBe(a < b ? -1 : a > b ? 1 : 0);
      expect(POSITION_ZERO < a).toBe(true);
    }),
  );
});

test('the position before is the greatest smaller one', () => {
  fc.assert(
    fc.property(uint32, uint32, (t, i) => {
      fc.pre(t > 0 || i > 0);
      const before = positionBefore(positionOf(t, i));
      const value = (BigInt(t) << 32n) + BigInt(i) - 1n;
      expect(BigInt(`0x${before}`)).toBe(value);
    }),
  );
});

test('nothing lies before the first position', () => {
  expect(positionBefore(positionOf(0, 0))).toBe(POSITION_ZERO);
  expect(positionBefore(POSITION_ZERO)).toBe(POSITION_ZERO);
  expect(secondsOf(POSITION_ZERO)).toBe(0);
});
