import { createHash, hash } from 'node:crypto';
import { type Content, nextDataOf, readFully } from '../held/content.ts';
import type { Stat } from '../libc/stat.ts';

/** Larger contents are hashed in blocks of this size, and the hashes once more. */
const BLOCK = 1024 * 1024;
const block = Buffer.allocUnsafeSlow(BLOCK);
let zeros: Buffer | undefined;

/**
 * SHA-256 of a content of at most one block; of a larger one, of the hashes of
 * its blocks. Blocks of nothing but a hole are not read, so that a terabyte of
 * holes takes no time. A file that is cut off while it is read is seen by its stat.
 */
export function hashContent(file: Content, stat: Stat): string {
  if (stat.size <= BLOCK) return hash('sha256', block.subarray(0, readFully(file, block, 0, stat.size, 0)), 'hex');
  const whole = createHash('sha256');
  let data = nextDataOf(file, 0, stat.size);
  for (let start = 0; start < stat.size; start += BLOCK) {
    const length = Math.min(BLOCK, stat.size - start);
    if (data !== undefined && data.end <= start) data = nextDataOf(file, start, stat.size);
    if ((data === undefined || data.start >= start + length) && length === BLOCK) {
      zeros ??= digest(Buffer.alloc(BLOCK));
      whole.update(zeros);
    } else {
      const read = readFully(file, block, 0, length, start);
      whole.update(digest(block.subarray(0, read)));
    }
  }
  return whole.digest('hex');
}

function digest(data: Buffer): Buffer {
  return hash('sha256', data, 'buffer');
}
