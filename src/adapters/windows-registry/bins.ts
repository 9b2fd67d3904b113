/** Hive bins while they are written: space for cells, with little of it left over. */
import { GodwitError } from '../../kernel/errors.ts';
import { BIN_HEADER } from './cells.ts';

const PAGE = 4096;
/** Windows' own limit for a hive. */
const LARGEST = 0x7fff_e000;
/** Rests of bins that are kept in mind for small cells; smaller or older ones become free cells. */
const GAPS = 64;
const SMALLEST_GAP = 32;

interface Gap {
  at: number;
  size: number;
}

export class Bins {
  #bytes: Buffer;
  #size = 0;
  #gaps: Gap[] = [];

  /** `guess`: how many bytes of cells will come, so that the buffer seldom grows. */
  constructor(guess: number) {
    this.#bytes = Buffer.alloc(Math.min(LARGEST, Math.ceil(guess * 1.05) + 16 * PAGE));
  }

  /** Room for a cell with so much content, behind `after`; gives its offset. Its content is zero until `fill`. */
  allocate(length: number, after = 0): number {
    const size = cellSize(length);
    const gap = this.#gapFor(size, after) ?? this.#newBin(size);
    const at = gap.at;
    gap.at += size;
    gap.size -= size;
    this.#bytes.writeInt32LE(-size, at);
    if (gap.size < SMALLEST_GAP) this.#close(gap);
    return at;
  }

  fill(offset: number, content: Uint8Array): void {
    this.#bytes.set(content, offset + 4);
  }

  /** A cell with this content. */
  put(content: Uint8Array): number {
    const offset = this.allocate(content.length);
    this.fill(offset, content);
    return offset;
  }

  /** Everything written so far, rests as free cells; nothing may be added after it. */
  finish(timestamp: bigint): Buffer {
    for (const gap of [...this.#gaps]) this.#close(gap);
    if (this.#size > 0) this.#bytes.writeBigUInt64LE(timestamp, 20);
    return this.#bytes.subarray(0, this.#size);
  }

  /** The smallest gap that is large enough. */
  #gapFor(size: number, after: number): Gap | undefined {
    let best: Gap | undefined;
    for (const gap of this.#gaps) {
      if (gap.size >= size && gap.at >= after && (best === undefined || gap.size < best.size)) best = gap;
    }
    return best;
  }

  #newBin(cell: number): Gap {
    const at = this.#size;
    const size = Math.ceil((cell + BIN_HEADER) / PAGE) * PAGE;
    if (at + size > LARGEST) throw new GodwitError('GW2305', 'The hive would be larger than 2 GiB');
    if (at + size > this.#bytes.length) {
      const larger = Buffer.alloc(Math.min(LARGEST, Math.max(at + size, Math.ceil(this.#bytes.length * 1.25))));
      this.#bytes.copy(larger, 0, 0, at);
      this.#bytes = larger;
    }
    this.#bytes.write('hbin', at, 'latin1');
    this.#bytes.writeUInt32LE(at, at + 4);
    this.#bytes.writeUInt32LE(size, at + 8);
    this.#size = at + size;
    const gap = { at: at + BIN_HEADER, size: size - BIN_HEADER };
    this.#gaps.push(gap);
    if (this.#gaps.length > GAPS) {
      this.#close(this.#gaps.reduce((least, other) => (other.size < least.size ? other : least)));
    }
    return gap;
  }

  #close(gap: Gap): void {
    const at = this.#gaps.indexOf(gap);
    if (at >= 0) this.#gaps.splice(at, 1);
    if (gap.size > 0) this.#bytes.writeInt32LE(gap.size, gap.at);
  }
}

/** Bytes that a cell with so much content takes. */
export function cellSize(length: number): number {
  return Math.max(8, (length + 4 + 7) & ~7);
}
