import fc from 'fast-check';
import { expect, test } from 'vitest';
import { joined } from './joined.ts';
import { blockBytes, type OpRecord, RECORD_BYTES } from './record.ts';

const record = (place: number, length: number) => ({ kind: 'write', place, length }) as OpRecord;

test('what follows each other is one write, up to a megabyte; the bytes of each block are where they would be alone', () => {
  const block = fc.record({ length: fc.integer({ min: 1, max: 300_000 }), gap: fc.constantFrom(0, 0, 0, 64, 4096) });
  fc.assert(
    fc.property(fc.array(block, { maxLength: 12 }), (sizes) => {
      let place = 1 << 20;
      const blocks = sizes.map(({ length, gap }, at) => {
        const one = record(place + gap, length);
        place += gap + blockBytes(one);
        return [one, Buffer.alloc(length, at + 1)] as const;
      });
      const ring = Buffer.alloc(place);
      const apart = Buffer.alloc(place);
      for (const { place, data } of joined(blocks)) {
        expect(data.length).toBeLessThanOrEqual(1 << 20);
        data.copy(ring, place);
      }
      for (const [{ place }, payload] of blocks) payload.copy(apart, place + RECORD_BYTES);
      expect(ring.equals(apart)).toBe(true);
    }),
  );
  const two = [record(0, 4096), record(4160, 4096)].map((one) => [one, Buffer.alloc(one.length)] as const);
  expect(joined(two)).toHaveLength(1);
  expect(joined(two.reverse())).toHaveLength(2);
  expect(joined([])).toEqual([]);
});
