import { readInt32, valueSize } from '../bson/walk.ts';
import type { RawKey } from '../verify/recheck.ts';

/** One element of a set: a document by the digest of its bytes, and its key. */
const COUNT = 0;
const LOW = 1;
const HIGH = 2;
const CHECK = 3;
const ID = 4;
/** The type and length of a key in one word, its bytes in the others; a cell is as large as a line of the processor's cache. */
const ID_WORDS = 12;
const STRIDE = ID + ID_WORDS;
export const LONGEST_KEY = (ID_WORDS - 1) * 4;

const LEAST_CELLS = 1 << 12;
/** Three tables of so many cells: 25 MB. */
const MOST_CELLS = 1 << 17;
/** Full by more than this, three tables cannot be told apart any more. */
const LOAD = 0.7;

/**
 * The difference of two sets in memory that grows with the difference, not
 * with the sets (an invertible Bloom lookup table: Eppstein, Goodrich, Uyeda,
 * Varghese, "What's the Difference?", SIGCOMM 2011). Documents of one side are
 * added, those of the other taken away, in any order; what both have cancels
 * out. What is left can be listed as long as it is not too much.
 *
 * Two different documents are taken for the same only if their digests (64
 * bits, under a seed that nobody knows) are.
 */
export class Sketch {
  readonly #cells: Int32Array;
  readonly #mask: number;
  readonly #size: number;
  readonly #words = new Int32Array(ID_WORDS);

  /** @param differences as many can be listed, about */
  constructor(differences: number) {
    let size = LEAST_CELLS;
    while (size < MOST_CELLS && size * 3 * LOAD < differences) size *= 2;
    this.#size = size;
    this.#mask = size - 1;
    this.#cells = new Int32Array(size * 3 * STRIDE);
  }

  /**
   * Adds a document (`sign` 1) or takes it away (-1).
   * @param low and high: the digest of its bytes
   * @param id where the value of its `_id` lies
   * @returns false when the key is too long to be kept
   */
  fold(
    sign: 1 | -1,
    low: number,
    high: number,
    buf: Buffer,
    id: { type: number; start: number; end: number },
  ): boolean {
    const length = id.end - id.start;
    if (length > LONGEST_KEY) return false;
    const words = this.#words;
    words[0] = (id.type << 16) | length;
    const whole = length >> 2;
    for (let i = 0; i < whole; i += 1) words[i + 1] = readInt32(buf, id.start + i * 4);
    let count = whole + 1;
    if ((length & 3) !== 0) {
      let rest = 0;
      for (let at = id.start + whole * 4, shift = 0; at < id.end; at += 1, shift += 8)
        rest |= (buf[at] as number) << shift;
      words[count] = rest;
      count += 1;
    }
    this.#apply(sign, low | 0, high | 0, words, count);
    return true;
  }

  /** What differs: the keys of all documents that only one side has. Undefined when there is too much to tell. Empties the sketch. */
  list(): RawKey[] | undefined {
    const cells = this.#cells;
    const keys: RawKey[] = [];
    const queue: number[] = [];
    for (let cell = 0; cell < this.#size * 3; cell += 1) if (this.#isPure(cell)) queue.push(cell);
    const words = new Int32Array(ID_WORDS);
    for (let cell = queue.pop(); cell !== undefined; cell = queue.pop()) {
      if (!this.#isPure(cell)) continue;
      // What is taken for one document and is several could go round for ever.
      if (keys.length >= this.#size * 3) return undefined;
      const at = cell * STRIDE;
      const [count, low, high] = [cells[at + COUNT] as 1 | -1, cells[at + LOW] as number, cells[at + HIGH] as number];
      for (let i = 0; i < ID_WORDS; i += 1) words[i] = cells[at + ID + i] as number;
      const key = keyOf(words);
      if (!key) return undefined;
      keys.push(key);
      this.#apply(count === 1 ? -1 : 1, low, high, words, ID_WORDS);
      for (const other of this.#places(low, high)) if (this.#isPure(other)) queue.push(other);
    }
    for (const word of cells) if (word !== 0) return undefined;
    return keys;
  }

  #apply(sign: 1 | -1, low: number, high: number, words: Int32Array, count: number): void {
    const check = mix(low, high);
    this.#toggle(this.#place(0, low, high), sign, low, high, check, words, count);
    this.#toggle(this.#place(1, low, high), sign, low, high, check, words, count);
    this.#toggle(this.#place(2, low, high), sign, low, high, check, words, count);
  }

  #toggle(
    cell: number,
    sign: 1 | -1,
    low: number,
    high: number,
    check: number,
    words: Int32Array,
    count: number,
  ): void {
    const cells = this.#cells;
    const at = cell * STRIDE;
    cells[at + COUNT]! += sign;
    cells[at + LOW]! ^= low;
    cells[at + HIGH]! ^= high;
    cells[at + CHECK]! ^= check;
    for (let i = 0; i < count; i += 1) cells[at + ID + i]! ^= words[i]!;
  }

  #places(low: number, high: number): number[] {
    return TABLES.map((table) => this.#place(table, low, high));
  }

  #place(table: number, low: number, high: number): number {
    const hash = table === 0 ? low : table === 1 ? high : Math.imul(low, 0x27d4eb2f) ^ Math.imul(high, 0x165667b1);
    return table * this.#size + ((hash ^ (hash >>> 15)) & this.#mask);
  }

  /** Whether exactly one document is left in a cell. */
  #isPure(cell: number): boolean {
    const cells = this.#cells;
    const at = cell * STRIDE;
    const count = cells[at + COUNT];
    if (count !== 1 && count !== -1) return false;
    const [low, high] = [cells[at + LOW] as number, cells[at + HIGH] as number];
    if (cells[at + CHECK] !== mix(low, high)) return false;
    return this.#place(Math.floor(cell / this.#size), low, high) === cell;
  }
}

const TABLES = [0, 1, 2] as const;

/** Of sums of digests it is not the sum: that tells one element from several. */
function mix(low: number, high: number): number {
  let hash = Math.imul(low ^ 0x3c6ef372, 0x85ebca6b) ^ high;
  hash = Math.imul(hash ^ (hash >>> 13), 0xc2b2ae35);
  return hash ^ (hash >>> 16);
}

function keyOf(words: Int32Array): RawKey | undefined {
  const type = (words[0] as number) >>> 16;
  const length = (words[0] as number) & 0xffff;
  if (length > LONGEST_KEY) return undefined;
  const key = Buffer.alloc(4 + 5 + length + 1);
  key.writeInt32LE(key.length, 0);
  key[4] = type;
  key.write('_id', 5, 'latin1');
  for (let i = 0; i < length; i += 1) key[9 + i] = ((words[1 + (i >> 2)] as number) >>> ((i & 3) * 8)) & 0xff;
  return isValue(type, key, length) ? key : undefined;
}

/** What was put together wrongly would be no value; better to say that there is too much to tell. */
function isValue(type: number, key: Buffer, length: number): boolean {
  try {
    return valueSize(type, key, 9) === length;
  } catch {
    return false;
  }
}
