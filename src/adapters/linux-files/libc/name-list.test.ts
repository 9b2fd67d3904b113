import fc from 'fast-check';
import { expect, test } from 'vitest';
import { NameCollector } from './name-list.ts';

const name = fc
  .uint8Array({ minLength: 1, maxLength: 255, size: 'max' })
  .map((bytes) => Buffer.from(bytes.map((byte) => (byte === 0 || byte === 47 ? 1 : byte))).toString('latin1'));

test.each([1, 7, 1_000_000])('names come out in the order of their bytes, kept as bytes from the %ith on', (many) => {
  fc.assert(
    fc.property(
      fc.array(fc.oneof(name, fc.constantFrom('a', 'aa', 'b', 'file-1', 'file-10')), { maxLength: 300 }),
      (names) => {
        const collector = new NameCollector(many);
        for (const each of names) collector.add(each);
        const list = collector.sorted();
        expect(Array.from({ length: list.length }, (_, at) => list.at(at))).toEqual([...names].sort());
        expect(list.at(names.length)).toBeUndefined();
      },
    ),
  );
});
