/**
 * Puts messages together from what the socket reads. Once the length of a
 * large message is known, the socket is told to read straight into that
 * message's own memory, so its bytes are not copied at all.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import { readInt32 } from '../bson/walk.ts';
import { type BufferPool, MAX_MESSAGE_SIZE, POOLED_FROM } from './buffer-pool.ts';
import { HEADER_SIZE } from './message.ts';

/** Reads of less than this go through the scratch buffer, which may then hold the next message too. */
const DIRECT_FROM = 16 * 1024;

const SCRATCH_SIZE = 256 * 1024;

/** Receives one whole message; `pooled` is to be given back to the pool after use. */
export type MessageSink = (message: Buffer, pooled: Buffer | undefined) => void;

export class MessageAssembler {
  readonly #sink: MessageSink;
  readonly #pool: BufferPool;
  readonly #scratch: Buffer | undefined;
  readonly #header = Buffer.allocUnsafe(HEADER_SIZE);
  #message: Buffer | undefined;
  #pooled: Buffer | undefined;
  /** Bytes of the current message had, header included. */
  #filled = 0;
  #direct = false;

  /** Without `scratch`, memory comes with each chunk and `readTarget` is not used. */
  constructor(sink: MessageSink, pool: BufferPool, options: { scratch: boolean }) {
    this.#sink = sink;
    this.#pool = pool;
    this.#scratch = options.scratch ? Buffer.allocUnsafeSlow(SCRATCH_SIZE) : undefined;
  }

  /** Where the next read should go. */
  readTarget(): Buffer {
    const message = this.#message;
    this.#direct = message !== undefined && message.length - this.#filled >= DIRECT_FROM;
    return this.#direct ? message!.subarray(this.#filled) : this.#scratch!;
  }

  /** `length` bytes were read into what `readTarget` gave last. */
  wasRead(length: number): void {
    if (!this.#direct) {
      this.push(this.#scratch!.subarray(0, length));
      return;
    }
    this.#filled += length;
    if (this.#filled === this.#message!.length) this.#deliver();
  }

  /** Takes in a chunk; its bytes are copied. */
  push(chunk: Buffer): void {
    let at = 0;
    while (at < chunk.length) {
      if (this.#message === undefined) {
        const take = Math.min(HEADER_SIZE - this.#filled, chunk.length - at);
        chunk.copy(this.#header, this.#filled, at, at + take);
        this.#filled += take;
        at += take;
        if (this.#filled < HEADER_SIZE) return;
        this.#size();
      }
      const message = this.#message!;
      const take = Math.min(message.length - this.#filled, chunk.length - at);
      chunk.copy(message, this.#filled, at, at + take);
      this.#filled += take;
      at += take;
      if (this.#filled === message.length) this.#deliver();
    }
  }

  /** The header is here: find memory for the whole message. */
  #size(): void {
    const length = readInt32(this.#header, 0);
    if (length < HEADER_SIZE + 10 || length > MAX_MESSAGE_SIZE) {
      throw new GodwitError('GW3001', `The peer announced a message of ${length} bytes: not the MongoDB protocol`);
    }
    this.#pooled = length < POOLED_FROM ? undefined : this.#pool.take(length);
    this.#message = this.#pooled?.subarray(0, length) ?? Buffer.allocUnsafe(length);
    this.#header.copy(this.#message, 0);
  }

  #deliver(): void {
    const message = this.#message!;
    const pooled = this.#pooled;
    this.#message = undefined;
    this.#pooled = undefined;
    this.#filled = 0;
    this.#sink(message, pooled);
  }
}
