import { expect, test } from 'vitest';
import type { Volume } from '../../src/kernel/protect/volume.ts';
import { fuzz } from './fuzz.ts';

const SLICE = { requests: 50_000, lanes: 2 };

test('50,000 requests, legal, illegal, cut off and no requests at all, and every answer is right', async () => {
  const result = await fuzz({ ...SLICE, seed: 7 });
  expect(result.failure).toBeUndefined();
  expect(result.requests).toBeGreaterThanOrEqual(SLICE.requests);
  for (const count of [result.refused, result.cut, result.garbage, result.handshakes]) expect(count).toBeGreaterThan(0);
});

/** Volumes that lie. Spread would lose the getters and private fields of the real one. */
function lying(volume: Volume, lies: Partial<Volume>): Volume {
  const { size, blockSizes, coversAllConnections, fastZeroes } = volume;
  return {
    ...{ size, blockSizes, coversAllConnections, fastZeroes },
    read: (offset, into) => volume.read(offset, into),
    write: (offset, data, durable) => volume.write(offset, data, durable),
    writeZeroes: (offset, length, options) => volume.writeZeroes(offset, length, options),
    trim: (offset, length, durable) => volume.trim(offset, length, durable),
    flush: () => volume.flush(),
    extents: (offset, length) => volume.extents(offset, length),
    ...lies,
  };
}

test.each([
  [
    'forgets one write in a thousand',
    (volume: Volume) => {
      let writes = 0;
      return lying(volume, {
        write: (o, data, d) => (++writes % 1000 === 0 ? Promise.resolve() : volume.write(o, data, d)),
      });
    },
  ],
  [
    'writes a byte too few',
    (volume: Volume) =>
      lying(volume, { write: (o, data, d) => volume.write(o, data.subarray(0, Math.max(1, data.length - 1)), d) }),
  ],
  [
    'zeroes a byte too many',
    (volume: Volume) =>
      lying(volume, {
        writeZeroes: (o, length, options) => volume.writeZeroes(o, Math.min(length + 1, volume.size - o), options),
      }),
  ],
  [
    'trims what lies before',
    (volume: Volume) =>
      lying(volume, {
        trim: (o, length) => volume.writeZeroes(Math.max(0, o - 1), length, { durable: false, mayTrim: true }),
      }),
  ],
  [
    'fails now and then',
    (volume: Volume) => {
      let reads = 0;
      return lying(volume, {
        read: (o, into) => (++reads % 500 === 0 ? Promise.reject(new Error('no')) : volume.read(o, into)),
      });
    },
  ],
])('the judge notices a volume that %s', async (_, around) => {
  const { failure } = await fuzz({ ...SLICE, seed: 3, around });
  expect(failure).toMatch(/seed 3, lane/);
});
