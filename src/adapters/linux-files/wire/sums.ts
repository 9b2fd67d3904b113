/**
 * What of a large file is different: the target says the sums of its blocks, and
 * the source sends the blocks whose sums are others. The sums are quick, not
 * proofs: the certificate is made of other ones, and a block that they missed
 * is found by it.
 */
import { xxh3 } from '@node-rs/xxhash';
import { type Content, readFully } from '../held/content.ts';

/** One page: what a database or a mapping changes at once. */
export const SUM_BLOCK = 4096;
/** Sums are asked for so many bytes at once, and so many ranges. */
const SUM_RANGE = 64 * 1024 * 1024;
const SUM_RANGES = 4096;
const READ = 1024 * 1024;
const SUM_BYTES = 8;

/** Bytes of a file, from the beginning of a block to that of another one or to the end of the file. */
export interface Range {
  readonly start: number;
  readonly end: number;
}

const memory = Buffer.allocUnsafeSlow(READ);

/** Ranges as they are asked for: none is too long, nor are there too many at once. */
export function* parted(ranges: Iterable<Range>): Generator<readonly Range[], void, void> {
  let part: Range[] = [];
  let left = SUM_RANGE;
  for (const { start, end } of ranges) {
    for (let at = start; at < end; ) {
      const to = Math.min(end, at + left);
      part.push({ start: at, end: to });
      left -= Math.ceil((to - at) / SUM_BLOCK) * SUM_BLOCK;
      at = to;
      if (left > 0 && part.length < SUM_RANGES) continue;
      yield part;
      part = [];
      left = SUM_RANGE;
    }
  }
  if (part.length > 0) yield part;
}

/** Whether they may be asked for at once. */
export function areFew(ranges: readonly Range[]): boolean {
  const isApart = ranges.every(({ start, end }) => start >= 0 && end > start);
  return (
    isApart && ranges.length <= SUM_RANGES && ranges.reduce((sum, { start, end }) => sum + end - start, 0) <= SUM_RANGE
  );
}

/** The sums of all blocks of the ranges; where the file has less, they are zeros. */
export function sumsOf(file: Content, ranges: readonly Range[]): Buffer {
  const sums = Buffer.alloc(ranges.reduce((sum, range) => sum + blocksOf(range), 0) * SUM_BYTES);
  let sumAt = 0;
  for (const range of ranges) {
    for (let at = range.start; at < range.end; at += READ) {
      const read = readFully(file, memory, 0, Math.min(READ, range.end - at), at);
      for (let block = 0; block < read; block += SUM_BLOCK) {
        const sum = xxh3.xxh64(memory.subarray(block, Math.min(read, block + SUM_BLOCK)));
        sums.writeBigUInt64LE(sum, sumAt + ((at - range.start + block) / SUM_BLOCK) * SUM_BYTES);
      }
    }
    sumAt += blocksOf(range) * SUM_BYTES;
  }
  return sums;
}

/** Where they differ, as ranges of bytes of at most `longest`. Blocks that only one side has differ. */
export function* differing(ours: Buffer, theirs: Buffer, ranges: readonly Range[], longest: number) {
  let index = 0;
  for (const { start, end } of ranges) {
    let from = -1;
    for (let at = start; at < end; index += SUM_BYTES, at += SUM_BLOCK) {
      const same =
        index + SUM_BYTES <= theirs.length &&
        ours.compare(theirs, index, index + SUM_BYTES, index, index + SUM_BYTES) === 0;
      if (!same && from < 0) from = at;
      if (from >= 0 && (same || at + SUM_BLOCK - from > longest)) {
        yield { start: from, end: at };
        from = same ? -1 : at;
      }
    }
    if (from >= 0) yield { start: from, end };
  }
}

function blocksOf({ start, end }: Range): number {
  return Math.ceil((end - start) / SUM_BLOCK);
}
