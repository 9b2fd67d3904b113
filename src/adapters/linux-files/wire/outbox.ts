import { type Channel, MESSAGE } from './channel.ts';
import { BUNDLE } from './operation.ts';

import { Packer } from './packer.ts';

/** Bytes of operations that may be on the way at once: what a cut can make us send again is never more. */
const WINDOW = 2 * 1024 * 1024;
/** And this part of what went already over this connection, up to a limit: a long line needs more on the way. */
const WINDOW_PART = 1 / 200;
const LARGEST_WINDOW = 32 * 1024 * 1024;
/** Below this rate, while the sender waits more than half of its time, the link is what limits: then compressing helps. */
const SLOW_LINK = 80 * 1024 * 1024;
const LOOK_EVERY_MS = 500;

export type Compress = 'auto' | 'always' | 'never';

export interface OutboxOptions {
  readonly compress: Compress;
  readonly zstd: (data: Buffer) => Promise<Buffer>;
  /** Waits until so many bytes may go: the limit of bandwidth. */
  readonly take: (bytes: number) => Promise<void>;
  /** Told of each bundle that goes: its sequence, when, and what is in it. */
  readonly onBundle?: ((sequence: number, atMs: number, operations: Buffer) => void) | undefined;
  /** The sequence of the last bundle that the target has carried out. */
  readonly done: number;
}

/** Operations become bundles with a sequence each; what the target has carried out comes back. */
export class Outbox {
  readonly operations = new Packer(BUNDLE * 2);
  /** Told whenever the target got further. */
  onDone: (() => void) | undefined;
  readonly #channel: Channel;
  readonly #options: OutboxOptions;
  readonly #sizes: { sequence: number; bytes: number }[] = [];
  #sequence: number;
  #done: number;
  #onTheWay = 0;
  #total = 0;
  #wake: (() => void) | undefined;
  #fault: unknown;
  #waitedMs = 0;
  #lookedAt = performance.now();
  #sinceLook = 0;
  #isSlow = false;
  /** How long the target worked so far, and until it was looked at last. */
  #appliedMs = 0;
  #lookedAppliedMs = 0;

  constructor(channel: Channel, options: OutboxOptions) {
    this.#channel = channel;
    this.#options = options;
    this.#sequence = options.done;
    this.#done = options.done;
  }

  /** Of the bundle that is being filled. */
  get next(): number {
    return this.#sequence + 1;
  }

  /** Of the last bundle that was sent. */
  get sent(): number {
    return this.#sequence;
  }

  get done(): number {
    return this.#done;
  }

  get isFull(): boolean {
    return this.operations.length >= BUNDLE;
  }

  /** Sends what is packed as one bundle. */
  async flush(): Promise<void> {
    if (this.operations.length === 0) return;
    this.#sequence += 1;
    const head = new Packer(16);
    head.long(this.#sequence);
    const atMs = Date.now();
    head.long(atMs);
    this.#options.onBundle?.(this.#sequence, atMs, this.operations.bytes);
    const bytes = this.operations.length;
    this.#sizes.push({ sequence: this.#sequence, bytes });
    this.#onTheWay += bytes;
    this.#sinceLook += bytes;
    const from = performance.now();
    try {
      await this.#send(head.bytes, bytes);
    } catch (error) {
      // What the target said before it went says more than that it went.
      throw this.#fault ?? error;
    }
    this.#total += bytes;
    const window = Math.min(LARGEST_WINDOW, Math.max(WINDOW, this.#total * WINDOW_PART));
    while (this.#onTheWay > window) await this.#change();
    this.#waitedMs += performance.now() - from;
  }

  async #send(head: Buffer, bytes: number): Promise<void> {
    if (this.#shouldCompress()) {
      const packed = await this.#options.zstd(this.operations.bytes);
      this.operations.clear();
      await this.#options.take(packed.length);
      return this.#channel.send(MESSAGE.zstdBundle, head, packed);
    }
    await this.#options.take(bytes);
    const sent = this.#channel.send(MESSAGE.bundle, head, this.operations.bytes);
    // The channel has copied it by now.
    this.operations.clear();
    return sent;
  }

  /** Sends what is left and waits until the target has carried out all of it. */
  async drain(): Promise<void> {
    await this.flush();
    while (this.#done < this.#sequence) await this.#change();
  }

  /** The target says how far it is. */
  carriedOut(sequence: number, appliedMs: number): void {
    this.#appliedMs = appliedMs;
    this.#done = Math.max(this.#done, sequence);
    while (this.#sizes[0] !== undefined && this.#sizes[0].sequence <= this.#done)
      this.#onTheWay -= (this.#sizes.shift() as { bytes: number }).bytes;
    this.onDone?.();
    this.#wake?.();
  }

  /** Nothing comes back any more: whoever waits learns why. */
  fail(error: unknown): void {
    this.#fault ??= error;
    this.#wake?.();
  }

  async #change(): Promise<void> {
    if (this.#fault !== undefined) throw this.#fault;
    await new Promise<void>((resolve) => {
      this.#wake = resolve;
    });
    this.#wake = undefined;
    if (this.#fault !== undefined) throw this.#fault;
  }

  #shouldCompress(): boolean {
    if (this.#options.compress !== 'auto') return this.#options.compress === 'always';
    const elapsed = performance.now() - this.#lookedAt;
    if (elapsed >= LOOK_EVERY_MS) {
      const rate = (this.#sinceLook / elapsed) * 1000;
      // Whoever waits for a target that works all the time gains nothing from a faster link.
      const isTargetBusy = this.#appliedMs - this.#lookedAppliedMs > elapsed / 2;
      this.#isSlow = rate < SLOW_LINK && this.#waitedMs > elapsed / 2 && !isTargetBusy;
      this.#lookedAppliedMs = this.#appliedMs;
      this.#lookedAt = performance.now();
      this.#sinceLook = 0;
      this.#waitedMs = 0;
    }
    return this.#isSlow;
  }
}
