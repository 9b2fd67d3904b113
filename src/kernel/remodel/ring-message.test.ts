import fc from 'fast-check';
import { expect, test } from 'vitest';
import { decodeRing, encodeRing } from './ring-message.ts';

test('an identity comes back as it was, whatever it holds', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 2_000 }), (identity) => {
      expect(decodeRing(encodeRing(identity))).toBe(identity);
    }),
  );
  expect(decodeRing(encodeRing('\ud800'))).toBe('\ud800');
});

test('anything else is not a ring', () => {
  fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (bytes) => decodeRing(bytes) === undefined));
  fc.assert(fc.property(fc.json(), (text) => decodeRing(Buffer.from(text)) === undefined));
  expect(decodeRing(Buffer.from('{"is":"godwit.ring","identity":7}'))).toBeUndefined();
});
