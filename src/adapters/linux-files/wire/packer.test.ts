import { expect, test } from 'vitest';
import { Packer, Unpacker } from './packer.ts';

test('what is written comes back, at every place where the memory has to grow', () => {
  for (let before = 0; before < 40; before += 1) {
    const packer = new Packer(16);
    for (let i = 0; i < before; i += 1) packer.u8(i);
    packer.u16(65_535);
    packer.u32(4_294_967_295);
    packer.long(-86_400_000_001);
    packer.long(2 ** 53 - 1);
    packer.text('\xff\n\0');
    packer.blob(Buffer.from([1, 2, 3]));
    const from = new Unpacker(Buffer.from(packer.bytes));
    for (let i = 0; i < before; i += 1) expect(from.u8()).toBe(i);
    expect([from.u16(), from.u32(), from.long(), from.long(), from.text(), [...from.blob()], from.done]).toEqual([
      65_535,
      4_294_967_295,
      -86_400_000_001,
      2 ** 53 - 1,
      '\xff\n\0',
      [1, 2, 3],
      true,
    ]);
  }
});

test('a message that is cut off anywhere is refused, never read beyond its end', () => {
  const packer = new Packer(16);
  packer.text('name');
  packer.long(1);
  packer.blob(Buffer.alloc(9));
  const whole = Buffer.from(packer.bytes);
  for (let length = 0; length < whole.length; length += 1) {
    const from = new Unpacker(whole.subarray(0, length));
    expect(() => [from.text(), from.long(), from.blob()]).toThrow(/ends before/);
  }
});
