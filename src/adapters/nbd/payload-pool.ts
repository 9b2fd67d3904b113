/** Payloads that are shorter are not worth keeping; they come out of Node's own slabs. */
const KEPT_FROM = 4096;

/**
 * Memory for the payloads of writes that came in several pieces, used again:
 * fresh memory costs the kernel a page fault for every 4 KiB of it.
 */
export class PayloadPool {
  readonly #mostKept: number;
  readonly #byClass = new Map<number, Buffer[]>();
  #kept = 0;

  constructor(mostKept: number) {
    this.#mostKept = mostKept;
  }

  /** At least `length` bytes; what stands in them is anything. */
  take(length: number): Buffer {
    if (length < KEPT_FROM) return Buffer.allocUnsafe(length);
    const size = sizeClass(length);
    const free = this.#byClass.get(size)?.pop();
    if (free === undefined) return Buffer.allocUnsafeSlow(size);
    this.#kept -= size;
    return free;
  }

  /** What `take` gave, whole; nobody may look at it any more. */
  give(buffer: Buffer): void {
    const size = buffer.length;
    if (size < KEPT_FROM || this.#kept + size > this.#mostKept) return;
    const free = this.#byClass.get(size);
    if (free === undefined) this.#byClass.set(size, [buffer]);
    else free.push(buffer);
    this.#kept += size;
  }
}

/** The next power of two. */
function sizeClass(length: number): number {
  return 2 ** (32 - Math.clz32(length - 1));
}
