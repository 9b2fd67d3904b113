import fc from 'fast-check';
import { expect, test } from 'vitest';
import { areFew, differing, parted, SUM_BLOCK } from './sums.ts';

test('every block that differs is in a range, no other is, and no range is too long', () => {
  const block = fc.integer({ min: 0, max: 2 });
  fc.assert(
    fc.property(
      fc.array(block, { maxLength: 40 }),
      fc.array(block, { maxLength: 40 }),
      fc.nat(SUM_BLOCK - 1),
      (a, b, cut) => {
        const sums = (blocks: number[]) => Buffer.concat(blocks.map((value) => Buffer.alloc(8, value)));
        const start = 7 * SUM_BLOCK;
        const end = start + a.length * SUM_BLOCK - (a.length > 0 ? cut : 0);
        const asked = end > start ? [{ start, end }] : [];
        const ranges = [...differing(sums(a), sums(b), asked, 3 * SUM_BLOCK)];
        const found = new Set<number>();
        for (const range of ranges) {
          expect(range.end - range.start).toBeLessThanOrEqual(3 * SUM_BLOCK);
          for (let at = range.start; at < range.end; at += SUM_BLOCK) found.add((at - start) / SUM_BLOCK);
          expect(range.end).toBeLessThanOrEqual(end);
        }
        const expected = a.flatMap((value, index) => (value === b[index] ? [] : [index]));
        expect([...found].sort((x, y) => x - y)).toEqual(expected);
      },
    ),
  );
});

test('ranges are asked for in parts that may be asked for, and nothing of them is lost', () => {
  const MiB = 1 << 20;
  const tiny = Array.from({ length: 9_000 }, (_, at) => ({ start: at * 2 * SUM_BLOCK, end: (at * 2 + 1) * SUM_BLOCK }));
  const cases = [
    [],
    [{ start: 0, end: 200 * MiB + 17 }],
    tiny,
    [
      { start: 0, end: 60 * MiB },
      { start: 61 * MiB, end: 70 * MiB },
    ],
  ];
  for (const ranges of cases) {
    const parts = [...parted(ranges)];
    for (const part of parts) expect(areFew(part)).toBe(true);
    const length = (all: readonly { start: number; end: number }[]) =>
      all.reduce((sum, { start, end }) => sum + end - start, 0);
    expect(length(parts.flat())).toBe(length(ranges));
    // Where one part was cut, the next goes on.
    const flat = parts.flat();
    for (const [at, range] of flat.entries())
      if (at > 0) expect(range.start).toBeGreaterThanOrEqual(flat[at - 1]?.end ?? 0);
  }
  expect(areFew([{ start: 0, end: 2 ** 40 }])).toBe(false);
  expect(areFew([{ start: 5, end: 4 }])).toBe(false);
});

test('blocks of several ranges are found in their own', () => {
  const sums = (...values: number[]) => Buffer.concat(values.map((value) => Buffer.alloc(8, value)));
  const ranges = [
    { start: 0, end: 2 * SUM_BLOCK },
    { start: 10 * SUM_BLOCK, end: 12 * SUM_BLOCK + 5 },
  ];
  expect([...differing(sums(1, 2, 3, 4, 5), sums(1, 9, 3, 4, 9), ranges, SUM_BLOCK * 8)]).toEqual([
    { start: SUM_BLOCK, end: 2 * SUM_BLOCK },
    { start: 12 * SUM_BLOCK, end: 12 * SUM_BLOCK + 5 },
  ]);
});
