import type { Duplex } from 'node:stream';
import { crc32 } from 'node:zlib';
import { GodwitError } from '../../../kernel/errors.ts';

/** What a message is. Control messages are JSON. */
export const MESSAGE = {
  hello: 1,
  welcome: 2,
  /** Operations, with sequence and time before them. */
  bundle: 3,
  /** The same, compressed. */
  zstdBundle: 4,
  /** Carried out up to this sequence; how long carrying out took in all, in milliseconds. */
  done: 5,
  /** Asks that everything be on the medium; answered by the same. */
  sync: 6,
  /** Asks for the certificate of the target; answered by `listing` until `listed`. */
  prove: 7,
  listing: 8,
  listed: 9,
  /** Asks for the sums of the blocks of one file; answered by the same. */
  sums: 10,
  /** Why the other side cannot go on; the last message. */
  failed: 11,
  bye: 12,
  /** Asks that the services of the target run or stand still; answered by the same once they do. */
  serve: 13,
  /** Asks that a large file get another name; answered by whether it has it now. */
  move: 14,
} as const;

export interface Message {
  readonly type: number;
  /** Good until the next message is asked for. */
  readonly payload: Buffer;
}

/** Length, type, checksum. */
const HEADER = 9;
/** How long the other side may take to end the line, too. */
const PATIENCE_MS = 2_000;
/** More than any message is: an attribute may have 64 KiB, and a bundle is ended when it is full. */
const LONGEST = 64 * 1024 * 1024;

/** Messages over one stream: each is whole and unharmed, or the connection is lost. */
export class Channel {
  readonly #stream: Duplex;
  #received = 0;
  #sent = 0;
  #fault: Error | undefined;

  constructor(stream: Duplex) {
    this.#stream = stream;
    stream.on('error', (error) => {
      this.#fault ??= error;
    });
  }

  get bytesSent(): number {
    return this.#sent;
  }

  get bytesReceived(): number {
    return this.#received;
  }

  /** Hands a message to the stream; resolves when the stream wants more. The payload is copied. */
  async send(type: number, ...parts: readonly Buffer[]): Promise<void> {
    if (this.#stream.destroyed || this.#fault) throw this.#lost();
    const length = parts.reduce((sum, part) => sum + part.length, 0);
    const frame = Buffer.allocUnsafe(HEADER + length);
    let at = HEADER;
    for (const part of parts) at += part.copy(frame, at);
    frame.writeUInt32LE(length, 0);
    frame[4] = type;
    frame.writeUInt32LE(crc32(frame.subarray(HEADER)), 5);
    this.#sent += frame.length;
    if (this.#stream.write(frame)) return;
    await new Promise<void>((resolve, reject) => {
      const onDrain = () => {
        this.#stream.off('close', onClose);
        resolve();
      };
      const onClose = () => {
        this.#stream.off('drain', onDrain);
        reject(this.#lost());
      };
      this.#stream.once('drain', onDrain);
      this.#stream.once('close', onClose);
    });
  }

  sendJson(type: number, value: unknown): Promise<void> {
    return this.send(type, Buffer.from(JSON.stringify(value)));
  }

  /** Every message until the other side ends the stream; a stream that breaks off is GW3001. */
  async *messages(): AsyncGenerator<Message> {
    const header = Buffer.alloc(HEADER);
    let memory = Buffer.allocUnsafeSlow(1024 * 1024);
    let filled = 0;
    let length = -1;
    try {
      // Whoever stops reading may still have something to say.
      const chunks = this.#stream.iterator({ destroyOnReturn: false }) as AsyncIterable<Buffer>;
      for await (const chunk of chunks) {
        this.#received += chunk.length;
        let at = 0;
        while (at < chunk.length) {
          if (length < 0) {
            const taken = chunk.copy(header, filled, at, at + HEADER - filled);
            at += taken;
            filled += taken;
            if (filled < HEADER) break;
            length = header.readUInt32LE(0);
            if (length > LONGEST) throw damaged('is longer than any can be');
            if (length > memory.length) memory = Buffer.allocUnsafeSlow(length);
            filled = 0;
          }
          const taken = chunk.copy(memory, filled, at, at + length - filled);
          at += taken;
          filled += taken;
          if (filled < length) break;
          const payload = memory.subarray(0, length);
          if (crc32(payload) !== header.readUInt32LE(5)) throw damaged('does not fit its checksum');
          const type = header[4] as number;
          length = -1;
          filled = 0;
          yield { type, payload };
        }
      }
    } catch (error) {
      if (error instanceof GodwitError) throw error;
      throw this.#lost(error);
    }
    if (length >= 0 || filled > 0) throw this.#lost();
  }

  /** Ends the stream after everything that was sent; what still comes is thrown away, so that the other side can read it. */
  end(): Promise<void> {
    if (this.#stream.destroyed) return Promise.resolve();
    return new Promise((resolve) => {
      const timer = setTimeout(resolve, PATIENCE_MS);
      this.#stream.once('close', () => {
        clearTimeout(timer);
        resolve();
      });
      this.#stream.resume();
      this.#stream.end();
    });
  }

  destroy(): void {
    this.#stream.destroy();
  }

  #lost(cause: unknown = this.#fault): GodwitError {
    const why = cause instanceof Error ? `: ${cause.message}` : '';
    return new GodwitError('GW3001', `The connection between source and target was lost${why}`, { cause });
  }
}

function damaged(how: string): GodwitError {
  return new GodwitError('GW3001', `A message ${how}`);
}

/** The JSON of a control message. */
export function jsonOf(message: Message): unknown {
  return JSON.parse(message.payload.toString('utf8'));
}
