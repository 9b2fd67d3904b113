/**
 * Memory for large messages. A reply of 16 MB per request would be garbage at
 * once, and fresh pages have to be zeroed by the kernel each time; so buffers
 * are kept by size class and handed out again, as they are.
 */

/** Smaller messages are ordinary allocations. */
export const POOLED_FROM = 64 * 1024;

/** Servers send at most `maxMessageSizeBytes` = 48 000 000; a little more is allowed for. */
export const MAX_MESSAGE_SIZE = 48 * 1024 * 1024 + 64 * 1024;

const MIB = 1024 * 1024;

/** A full batch is 16 MiB of documents and some frame, hence the odd 64 KiB. */
const SIZE_CLASSES = [
  POOLED_FROM * 2,
  POOLED_FROM * 4,
  POOLED_FROM * 8,
  MIB,
  2 * MIB,
  4 * MIB,
  8 * MIB,
  16 * MIB + 64 * 1024,
  20 * MIB,
  32 * MIB + 64 * 1024,
  MAX_MESSAGE_SIZE,
];

export class BufferPool {
  readonly #free = new Map<number, Buffer[]>();
  readonly #maxCachedBytes: number;
  #cachedBytes = 0;

  constructor(maxCachedBytes = 256 * MIB) {
    this.#maxCachedBytes = maxCachedBytes;
  }

  /** Bytes kept for reuse. */
  get cachedBytes(): number {
    return this.#cachedBytes;
  }

  /** A buffer of at least `size` bytes, holding whatever was in it before. */
  take(size: number): Buffer {
    const sizeClass = SIZE_CLASSES.find((candidate) => candidate >= size);
    if (sizeClass === undefined) throw new RangeError(`No buffer of ${size} bytes`);
    const free = this.#free.get(sizeClass)?.pop();
    if (free === undefined) return Buffer.allocUnsafeSlow(sizeClass);
    this.#cachedBytes -= sizeClass;
    return free;
  }

  /** Takes back a buffer that `take` gave. The caller must not touch it again. */
  give(buffer: Buffer): void {
    const sizeClass = buffer.length;
    if (!SIZE_CLASSES.includes(sizeClass)) return;
    if (this.#cachedBytes + sizeClass > this.#maxCachedBytes) return;
    const free = this.#free.get(sizeClass);
    if (free === undefined) this.#free.set(sizeClass, [buffer]);
    else free.push(buffer);
    this.#cachedBytes += sizeClass;
  }
}

/** The pool of this thread. */
export const bufferPool = new BufferPool();
