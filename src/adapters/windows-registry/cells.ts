/**
 * Hive bins as cells, with nothing believed: every allocated cell is found by
 * walking all bins first, and each may be used once. So references that point
 * into the middle of something, form a cycle or are shared end in GW2302, and
 * a reader's work and memory are bounded by the size of the file.
 */
import { damaged, hex } from './errors.ts';

const PAGE = 4096;
export const BIN_HEADER = 32;
/** An offset that points nowhere. */
export const NOWHERE = 0xffffffff;

export class Cells {
  /** The bins, without the base block. */
  readonly #bins: Buffer;
  /** A bit for every eight bytes: an allocated cell begins here and is not used yet. */
  readonly #unused: Uint8Array;

  constructor(bins: Buffer) {
    this.#bins = bins;
    this.#unused = new Uint8Array(Math.ceil(bins.length / 64));
    let start = 0;
    while (start < bins.length) start = this.#walkBin(start);
  }

  /** The content of a cell, which nobody has taken before and nobody can take again. */
  take(offset: number, what: string): Buffer {
    const bit = 1 << ((offset >>> 3) & 7);
    const byte = offset >>> 6;
    if ((offset & 7) !== 0 || offset >= this.#bins.length || ((this.#unused[byte] ?? 0) & bit) === 0) {
      throw damaged(`${what} is said to be at ${hex(offset)}, where no cell begins that is still free to be it`);
    }
    this.#unused[byte]! &= ~bit;
    return this.#bins.subarray(offset + 4, offset - this.#bins.readInt32LE(offset));
  }

  /** Goes through a bin from cell to cell; gives where the next bin begins. */
  #walkBin(start: number): number {
    const bins = this.#bins;
    if (start + BIN_HEADER > bins.length || bins.readUInt32LE(start) !== 0x6e696268) {
      throw damaged(`No hive bin begins at ${hex(start)}`);
    }
    const size = bins.readUInt32LE(start + 8);
    if (bins.readUInt32LE(start + 4) !== start || size === 0 || size % PAGE !== 0 || start + size > bins.length) {
      throw damaged(`The hive bin at ${hex(start)} has a wrong place or size`);
    }
    let at = start + BIN_HEADER;
    while (at < start + size) {
      const word = bins.readInt32LE(at);
      const length = Math.abs(word);
      if (length < 8 || length % 8 !== 0 || at + length > start + size) {
        throw damaged(`The cell at ${hex(at)} has the size ${length}`);
      }
      if (word < 0) this.#unused[at >>> 6]! |= 1 << ((at >>> 3) & 7);
      at += length;
    }
    return start + size;
  }
}
