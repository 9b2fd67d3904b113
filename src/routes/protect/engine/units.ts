/**
 * Of chunks that the other side had as they were at some moment: which units were changed since.
 * In memory, and no more than a hint about what to send: whether a chunk is the same on both sides
 * is said by the hash of the whole of it.
 */

/** Chunks are of so many units, unless those would be smaller than a sector. */
const UNITS = 64;
const SECTOR = 512;

export function unitBytesOf(chunkBytes: number): number {
  return Math.max(SECTOR, chunkBytes / UNITS);
}

export class Units {
  readonly bytes: number;
  readonly #chunkBytes: number;
  readonly #isKnown: Buffer;
  readonly #changed = new Map<number, bigint>();

  constructor(chunks: number, chunkBytes: number) {
    this.#chunkBytes = chunkBytes;
    this.bytes = unitBytesOf(chunkBytes);
    this.#isKnown = Buffer.alloc(Math.ceil(chunks / 8));
  }

  /** Chunks of which it is known what was changed. */
  get count(): number {
    return this.#changed.size;
  }

  /** What was changed of those. */
  get changedBytes(): number {
    let units = 0;
    for (const mask of this.#changed.values()) units += unitsIn(mask).length;
    return units * this.bytes;
  }

  changed(offset: number, length: number): void {
    const end = offset + length;
    for (let chunk = Math.floor(offset / this.#chunkBytes); chunk * this.#chunkBytes < end; chunk += 1) {
      if (!this.isKnown(chunk)) continue;
      const start = chunk * this.#chunkBytes;
      const first = Math.floor(Math.max(0, offset - start) / this.bytes);
      const past = Math.ceil(Math.min(this.#chunkBytes, end - start) / this.bytes);
      const mask = ((1n << BigInt(past - first)) - 1n) << BigInt(first);
      this.#changed.set(chunk, (this.#changed.get(chunk) ?? 0n) | mask);
    }
  }

  isKnown(chunk: number): boolean {
    return ((this.#isKnown[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0;
  }

  /** What was changed until now; nothing when that is not known. From this moment on it is. */
  take(chunk: number): bigint | undefined {
    if (!this.isKnown(chunk)) {
      this.#isKnown[chunk >> 3] = (this.#isKnown[chunk >> 3] ?? 0) | (1 << (chunk & 7));
      return undefined;
    }
    const mask = this.#changed.get(chunk) ?? 0n;
    this.#changed.delete(chunk);
    return mask;
  }

  /** What was taken did not go over. */
  giveBack(chunk: number, mask: bigint | undefined): void {
    if (mask === undefined) this.forget(chunk);
    else if (this.isKnown(chunk)) this.#changed.set(chunk, (this.#changed.get(chunk) ?? 0n) | mask);
  }

  forget(chunk: number): void {
    this.#isKnown[chunk >> 3] = (this.#isKnown[chunk >> 3] ?? 0) & ~(1 << (chunk & 7));
    this.#changed.delete(chunk);
  }

  forgetAll(): void {
    this.#isKnown.fill(0);
    this.#changed.clear();
  }
}

/** The numbers of the units in a mask. */
export function unitsIn(mask: bigint): number[] {
  const units: number[] = [];
  for (let unit = 0, left = mask; left !== 0n; unit += 1, left >>= 1n) if ((left & 1n) !== 0n) units.push(unit);
  return units;
}

export interface Stretch {
  readonly start: number;
  readonly end: number;
}

/** Where those units lie in a chunk of that length, neighbours together. */
export function stretchesOf(units: readonly number[], unitBytes: number, length: number): Stretch[] {
  const stretches: { start: number; end: number }[] = [];
  for (const unit of units) {
    const start = unit * unitBytes;
    const end = Math.min(start + unitBytes, length);
    const before = stretches.at(-1);
    if (before?.end === start) before.end = end;
    else stretches.push({ start, end });
  }
  return stretches;
}
