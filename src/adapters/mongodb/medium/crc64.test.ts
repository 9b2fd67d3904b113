import fc from 'fast-check';
import { expect, test } from 'vitest';
import { Crc64 } from './crc64.ts';

test('the check value of CRC-64/XZ', () => {
  expect(new Crc64().update(Buffer.from('123456789')).value).toBe(0x995dc9bbdf1939fan);
  expect(new Crc64().value).toBe(0n);
});

test('does not depend on how the bytes come', () => {
  fc.assert(
    fc.property(fc.array(fc.uint8Array({ maxLength: 60 }), { maxLength: 8 }), (pieces) => {
      const whole = new Crc64().update(Buffer.concat(pieces)).value;
      const crc = new Crc64();
      for (const piece of pieces) crc.update(Buffer.from(piece));
      expect(crc.value).toBe(whole);
    }),
  );
});

test('sees every bit', () => {
  const bytes = Buffer.from('the quick brown fox jumps over the lazy dog');
  const sum = new Crc64().update(bytes).value;
  for (let bit = 0; bit < bytes.length * 8; bit += 1) {
    const changed = Buffer.from(bytes);
    changed[bit >> 3]! ^= 1 << (bit & 7);
    expect(new Crc64().update(changed).value).not.toBe(sum);
  }
});
