/**
 * Which chunks of the image the other side does not have: set, durably, before what changed
 * them is forgotten (at the primary), or done (at a DR that leads); cleared only when the
 * other side has them durably. A bit too many costs a transfer, a bit too few a disaster.
 */
import type { Done, GrowingArea } from '../../../kernel/protect/ports.ts';
import { GroupCommit, gather } from './group-commit.ts';
import { synced } from './superblock.ts';

const PAGE = 4096;

export interface Chunk {
  readonly number: number;
  readonly offset: number;
  readonly length: number;
}

export class Dirty {
  readonly area: GrowingArea;
  readonly chunkBytes: number;
  #bits: Buffer;
  #imageBytes: number;
  #count = 0;
  readonly #touched = new Set<number>();
  /** Chunks on their way, and by which operation. */
  readonly #sent = new Map<number, number>();
  readonly #commit = new GroupCommit<Done>(
    (batch, done) => this.#write(batch, done),
    () => {},
  );

  private constructor(area: GrowingArea, bits: Buffer, chunkBytes: number, imageBytes: number) {
    this.area = area;
    this.#bits = bits;
    this.chunkBytes = chunkBytes;
    this.#imageBytes = imageBytes;
    for (const byte of bits) for (let left = byte; left !== 0; left &= left - 1) this.#count += 1;
  }

  static bytesFor(imageBytes: number, chunkBytes: number): number {
    return Math.ceil(Math.ceil(imageBytes / chunkBytes) / 8);
  }

  static async open(area: GrowingArea, chunkBytes: number, imageBytes: number): Promise<Dirty> {
    await synced(area);
    const bits = Buffer.alloc(Dirty.bytesFor(imageBytes, chunkBytes));
    await area.read(0, bits);
    return new Dirty(area, bits, chunkBytes, imageBytes);
  }

  /** The image has become larger, and the area with it. */
  grow(imageBytes: number): void {
    if (imageBytes <= this.#imageBytes) return;
    const bits = Buffer.alloc(Dirty.bytesFor(imageBytes, this.chunkBytes));
    this.#bits.copy(bits);
    this.#bits = bits;
    this.#imageBytes = imageBytes;
  }

  get isEmpty(): boolean {
    return this.#count === 0;
  }

  get bytes(): number {
    return this.#count * this.chunkBytes;
  }

  /** How many chunks there are, dirty or not. */
  get chunks(): number {
    return Math.ceil(this.#imageBytes / this.chunkBytes);
  }

  /** How many are dirty. */
  get count(): number {
    return this.#count;
  }

  /** The chunks that a stretch of the image touches. */
  *touched(offset: number, length: number): Generator<number> {
    const last = Math.floor((offset + length - 1) / this.chunkBytes);
    for (let chunk = Math.floor(offset / this.chunkBytes); chunk <= last; chunk += 1) yield chunk;
  }

  chunk(number: number): Chunk {
    const offset = number * this.chunkBytes;
    return { number, offset, length: Math.min(this.chunkBytes, this.#imageBytes - offset) };
  }

  /** In memory; `save` makes it durable. What is on its way for these chunks is out of date. Whether any was clean. */
  mark(offset: number, length: number): boolean {
    let fresh = false;
    for (const chunk of this.touched(offset, length)) {
      this.#sent.delete(chunk);
      if (this.has(chunk)) continue;
      this.#set(chunk, true);
      fresh = true;
    }
    return fresh;
  }

  /** Marks what another bitmap of the same volume has marked. */
  markAll(bits: Buffer): void {
    for (let chunk = 0; chunk < this.chunks; chunk += 1) {
      if (((bits[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0) this.mark(chunk * this.chunkBytes, 1);
    }
  }

  /** Nothing is dirty any more: both sides are the same for another reason. */
  clear(): void {
    this.#sent.clear();
    for (let chunk = 0; chunk < this.chunks; chunk += 1) if (this.has(chunk)) this.#set(chunk, false);
  }

  /** As it is now. */
  copy(): Buffer {
    return Buffer.from(this.#bits);
  }

  /** Everything that was marked is durable once this is done. */
  save(done: Done): void {
    this.#commit.push(done);
  }

  #write(batch: Done[], finished: Done): void {
    const pages = [...this.#touched];
    this.#touched.clear();
    const done: Done = (error) => {
      for (const each of batch) each(error);
      finished(error);
    };
    if (pages.length === 0) {
      done();
      return;
    }
    const written = gather(pages.length, (error) => (error ? done(error) : this.area.sync(done)));
    for (const page of pages) {
      // A copy: bits may change while it is written.
      const bytes = Buffer.from(this.#bits.subarray(page * PAGE, (page + 1) * PAGE));
      this.area.write(page * PAGE, bytes, written);
    }
  }

  /** The next chunk that is not on its way yet, from `from` on and around. `except`: a bitmap of those that shall not go. */
  next(from: number, skip: (chunk: number) => boolean = () => false, except?: Buffer): Chunk | undefined {
    if (this.#count === 0) return undefined;
    const { chunks } = this;
    for (let i = 0; i < chunks; ) {
      const number = (from + i) % chunks;
      const byte = (this.#bits[number >> 3] ?? 0) & ~(except?.[number >> 3] ?? 0);
      if (byte === 0) {
        i += Math.min(8 - (number & 7), chunks - number);
        continue;
      }
      i += 1;
      if ((byte & (1 << (number & 7))) !== 0 && !this.#sent.has(number) && !skip(number)) return this.chunk(number);
    }
    return undefined;
  }

  sent(chunk: number, sequence: number): void {
    this.#sent.set(chunk, sequence);
  }

  /** Whether it is on its way as that, and was not changed since. */
  isSent(chunk: number, as: number): boolean {
    return this.#sent.get(chunk) === as;
  }

  /** That very one has arrived. False when it was changed since. */
  arrived(chunk: number, as: number): boolean {
    if (!this.isSent(chunk, as)) return false;
    this.#sent.delete(chunk);
    this.#set(chunk, false);
    return true;
  }

  /** Nothing is on its way. */
  unsendAll(): void {
    this.#sent.clear();
  }

  /** Everything up to there is secured. */
  landed(sequence: number): void {
    for (const [chunk, by] of this.#sent) {
      if (by > sequence) continue;
      this.#sent.delete(chunk);
      this.#set(chunk, false);
    }
  }

  /** It is not on its way after all. */
  unsend(chunk: number): void {
    this.#sent.delete(chunk);
  }

  has(chunk: number): boolean {
    return ((this.#bits[chunk >> 3] ?? 0) & (1 << (chunk & 7))) !== 0;
  }

  #set(chunk: number, on: boolean): void {
    const byte = chunk >> 3;
    const bit = 1 << (chunk & 7);
    const old = this.#bits[byte] ?? 0;
    this.#bits[byte] = on ? old | bit : old & ~bit;
    this.#count += on ? 1 : -1;
    this.#touched.add(Math.floor(byte / PAGE));
  }
}
