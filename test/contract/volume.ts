import { expect, test } from 'vitest';
import type { Extent, Volume } from '../../src/kernel/protect/volume.ts';

export interface VolumeSubject {
  /** At least 4 MiB, of unknown content. */
  readonly volume: Volume;
  /** The same content as seen by a process that comes after a crash: only what was made durable need be there. */
  reopened(): Promise<Volume>;
}

const MIB = 1 << 20;

function pattern(length: number, seed: number): Buffer {
  const bytes = Buffer.allocUnsafe(length);
  let state = seed | 1;
  for (let i = 0; i < length; i++) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) | 0;
    bytes[i] = state >>> 16;
  }
  return bytes;
}

async function readAll(volume: Volume, offset: number, length: number): Promise<Buffer> {
  const into = Buffer.alloc(length, 0xee);
  await volume.read(offset, into);
  return into;
}

/** What `Volume` promises. */
export function describeVolumeContract(name: string, make: () => Promise<VolumeSubject>): void {
  test(`${name}: its numbers fit together`, async () => {
    const { volume } = await make();
    const { least, preferred, most } = volume.blockSizes;
    expect(Number.isSafeInteger(volume.size) && volume.size >= 4 * MIB).toBe(true);
    expect(volume.size % least).toBe(0);
    expect(preferred % least).toBe(0);
    expect(most).toBeGreaterThanOrEqual(MIB);
  });

  test(`${name}: reads what was written, and nothing else changed`, async () => {
    const { volume } = await make();
    const { least } = volume.blockSizes;
    await volume.write(0, pattern(2 * MIB, 1), false);
    const before = await readAll(volume, 0, 2 * MIB);
    expect(before.equals(pattern(2 * MIB, 1))).toBe(true);
    // Of odd places and lengths, across pages; at the very end too.
    const pieces: readonly [number, number][] = [
      [0, least],
      [3 * least, 5 * least],
      [Math.max(least, 4096) * 3 - least, 2 * least],
      [64 * 1024, 64 * 1024],
      [MIB - least, 256 * 1024 + 2 * least],
    ];
    for (const [i, [at, length]] of pieces.entries()) {
      const data = pattern(length, i + 2);
      await volume.write(at, data, false);
      data.copy(before, at);
      data.fill(0xaa); // its memory is the caller's again
    }
    expect((await readAll(volume, 0, 2 * MIB)).equals(before)).toBe(true);
    const end = volume.size - 3 * least;
    await volume.write(end, pattern(3 * least, 9), false);
    expect((await readAll(volume, end, 3 * least)).equals(pattern(3 * least, 9))).toBe(true);
  });

  test(`${name}: the longest write and read`, async () => {
    const { volume } = await make();
    const length = Math.min(volume.blockSizes.most, volume.size);
    const data = pattern(length, 3);
    await volume.write(0, data, true);
    expect((await readAll(volume, 0, length)).equals(data)).toBe(true);
  });

  test(`${name}: many calls at once`, async () => {
    const { volume } = await make();
    const step = Math.max(volume.blockSizes.least, 1536);
    const count = Math.floor((3 * MIB) / step);
    const all = Array.from({ length: count }, (_, i) => pattern(step, i + 1));
    await Promise.all(all.map((data, i) => volume.write(i * step, data, i % 97 === 0)));
    const read = await Promise.all(all.map((data, i) => readAll(volume, i * step, data.length)));
    expect(read.every((bytes, i) => bytes.equals(all[i]!))).toBe(true);
  });

  test(`${name}: of overlapping writes one wins in each byte`, async () => {
    const { volume } = await make();
    const length = 64 * 1024;
    const [a, b] = [Buffer.alloc(length, 1), Buffer.alloc(length, 2)];
    await Promise.all([volume.write(0, a, false), volume.write(0, b, true)]);
    expect((await readAll(volume, 0, length)).every((byte) => byte === 1 || byte === 2)).toBe(true);
  });

  test.each([true, false])(
    `${name}: zeroes read as zeroes (mayTrim %s), to their ends and not beyond`,
    async (mayTrim) => {
      const { volume } = await make();
      const { least } = volume.blockSizes;
      const whole = 3 * MIB;
      for (const [at, length] of [
        [least, least],
        [MIB - least, 2 * least],
        [5 * least, 2 * MIB + least],
      ] as const) {
        const expected = pattern(whole, 7);
        await volume.write(0, expected, false);
        await volume.writeZeroes(at, length, { durable: false, mayTrim });
        expected.fill(0, at, at + length);
        expect((await readAll(volume, 0, whole)).equals(expected)).toBe(true);
      }
      await volume.writeZeroes(0, volume.size, { durable: true, mayTrim });
      expect((await readAll(volume, 0, 4 * MIB)).equals(Buffer.alloc(4 * MIB))).toBe(true);
    },
  );

  test(`${name}: what is trimmed reads as zeroes or as before, the rest stays`, async () => {
    const { volume } = await make();
    const { least } = volume.blockSizes;
    const before = pattern(3 * MIB, 5);
    await volume.write(0, before, false);
    const [from, to] = [least, 2 * MIB + 3 * least];
    await volume.trim(from, to - from, true);
    const after = await readAll(volume, 0, 3 * MIB);
    expect(after.subarray(0, from).equals(before.subarray(0, from))).toBe(true);
    expect(after.subarray(to).equals(before.subarray(to))).toBe(true);
    expect(after.subarray(from, to).every((byte, i) => byte === 0 || byte === before[from + i])).toBe(true);
    expect((await readAll(volume, 0, 3 * MIB)).equals(after), 'it stays what it was read as').toBe(true);
    await volume.trim(0, volume.size, false);
  });

  test(`${name}: extents lie one behind the other, and zero means zero`, async () => {
    const { volume } = await make();
    await volume.writeZeroes(0, volume.size, { durable: false, mayTrim: true });
    await volume.write(MIB, pattern(MIB, 8), false);
    const { least } = volume.blockSizes;
    for (const [offset, length] of [
      [0, volume.size],
      [MIB - least, 2 * least],
      [MIB, least],
      [3 * least, 2 * MIB],
    ] as const) {
      const extents: Extent[] = [];
      for (let at = offset; at < offset + length; ) {
        const some = await volume.extents(at, offset + length - at);
        expect(some.length).toBeGreaterThan(0);
        for (const extent of some) {
          expect(extent.length).toBeGreaterThan(0);
          expect(extent.length % least).toBe(0);
          if (extent.zero) {
            const bytes = await readAll(volume, at, extent.length);
            expect(bytes.equals(Buffer.alloc(extent.length))).toBe(true);
          }
          at += extent.length;
          extents.push(extent);
        }
        expect(at).toBeLessThanOrEqual(offset + length);
      }
    }
  });

  test(`${name}: what was durable or flushed is there afterwards`, async () => {
    const subject = await make();
    const { volume } = subject;
    const [a, b, c] = [pattern(4096, 1), pattern(4096, 2), pattern(MIB, 3)];
    await volume.write(0, a, true);
    await volume.write(MIB, c, false);
    await volume.writeZeroes(MIB, 8192, { durable: false, mayTrim: false });
    await Promise.all([volume.flush(), volume.flush(), volume.flush()]);
    await volume.write(8192, b, true);
    const again = await subject.reopened();
    expect((await readAll(again, 0, 4096)).equals(a)).toBe(true);
    expect((await readAll(again, 8192, 4096)).equals(b)).toBe(true);
    c.fill(0, 0, 8192);
    expect((await readAll(again, MIB, MIB)).equals(c)).toBe(true);
  });
}
