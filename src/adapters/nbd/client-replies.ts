import { broken } from './client-handshake.ts';
import {
  CHUNK,
  CHUNK_DONE,
  CHUNK_HEADER_BYTES,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from './protocol.ts';

/** A request on its way, as its replies see it. */
export interface Asked {
  /** Of a read: where the bytes go; else empty. */
  readonly into: Buffer;
  readonly offset: number;
  /** Of a read: bytes that have come. */
  filled: number;
  /** The first error that came; 0 is none. */
  errno: number;
  words: string;
  /** Descriptors of a block status. */
  descriptors: readonly number[] | undefined;
}

/** Structured payloads other than data are short; what says otherwise is no server. */
const LONGEST_PAYLOAD = 9 << 20;

/** Takes the replies of a server out of what the socket read; the data of reads goes where it belongs at once. */
export class ReplyParser {
  readonly #find: (cookie: number) => Asked | undefined;
  readonly #done: (cookie: number, asked: Asked) => void;
  #pending: Buffer = Buffer.alloc(0);
  /** Data that is still to come, for `#asked`. */
  #left = 0;
  #at = 0;
  #isLast = false;
  #cookie = 0;
  #asked: Asked | undefined;

  constructor(find: (cookie: number) => Asked | undefined, done: (cookie: number, asked: Asked) => void) {
    this.#find = find;
    this.#done = done;
  }

  /** Throws GW5203 for what no server may send. */
  push(chunk: Buffer): void {
    let rest = this.#pending.length === 0 ? chunk : Buffer.concat([this.#pending, chunk]);
    for (;;) {
      const taken = this.#left > 0 ? this.#takeData(rest) : this.#takeHeader(rest);
      if (taken === 0) break;
      rest = rest.subarray(taken);
    }
    this.#pending = rest;
  }

  #takeData(rest: Buffer): number {
    const taken = Math.min(this.#left, rest.length);
    const asked = this.#asked!;
    rest.copy(asked.into, this.#at, 0, taken);
    this.#at += taken;
    this.#left -= taken;
    asked.filled += taken;
    if (this.#left === 0 && this.#isLast) this.#finish(this.#cookie, asked);
    return taken;
  }

  /** Gives how many bytes were taken; 0 when more are needed. */
  #takeHeader(rest: Buffer): number {
    if (rest.length < SIMPLE_REPLY_BYTES) return 0;
    const magic = rest.readUInt32BE(0);
    if (rest.readUInt32BE(8) !== 0) throw broken('a reply to nothing that was asked');
    const cookie = rest.readUInt32BE(12);
    const asked = this.#find(cookie);
    if (asked === undefined) throw broken('a reply to nothing that was asked');
    if (magic === SIMPLE_REPLY_MAGIC) {
      asked.errno ||= rest.readUInt32BE(4);
      if (asked.errno === 0 && asked.into.length > 0) this.#expectData(cookie, asked, 0, asked.into.length, true);
      else this.#finish(cookie, asked);
      return SIMPLE_REPLY_BYTES;
    }
    if (magic !== STRUCTURED_REPLY_MAGIC) throw broken('bytes that are no reply');
    if (rest.length < CHUNK_HEADER_BYTES) return 0;
    return this.#takeChunk(rest, cookie, asked);
  }

  #takeChunk(rest: Buffer, cookie: number, asked: Asked): number {
    const isLast = (rest.readUInt16BE(4) & CHUNK_DONE) !== 0;
    const type = rest.readUInt16BE(6);
    const length = rest.readUInt32BE(16);
    if (type === CHUNK.data) {
      if (rest.length < CHUNK_HEADER_BYTES + 8) return 0;
      const at = Number(rest.readBigUInt64BE(CHUNK_HEADER_BYTES)) - asked.offset;
      if (length < 9) throw broken('a chunk without data');
      this.#expectData(cookie, asked, at, length - 8, isLast);
      return CHUNK_HEADER_BYTES + 8;
    }
    if (length > LONGEST_PAYLOAD) throw broken(`a chunk of ${length} bytes`);
    if (rest.length < CHUNK_HEADER_BYTES + length) return 0;
    this.#takePayload(type, rest.subarray(CHUNK_HEADER_BYTES, CHUNK_HEADER_BYTES + length), asked);
    if (isLast) this.#finish(cookie, asked);
    return CHUNK_HEADER_BYTES + length;
  }

  #takePayload(type: number, payload: Buffer, asked: Asked): void {
    if (type === CHUNK.none && payload.length === 0) return;
    if (type === CHUNK.hole && payload.length === 12) {
      const at = Number(payload.readBigUInt64BE(0)) - asked.offset;
      const length = payload.readUInt32BE(8);
      if (at < 0 || at + length > asked.into.length) throw broken('a hole outside of what was asked for');
      asked.into.fill(0, at, at + length);
      asked.filled += length;
    } else if (type === CHUNK.blockStatus && payload.length >= 12 && payload.length % 8 === 4) {
      asked.descriptors = Array.from({ length: (payload.length - 4) / 4 }, (_, i) => payload.readUInt32BE(4 + 4 * i));
    } else if ((type & 0x8000) !== 0 && payload.length >= 6) {
      asked.errno ||= payload.readUInt32BE(0);
      asked.words ||= payload.toString('utf8', 6, 6 + payload.readUInt16BE(4));
    } else throw broken(`a chunk of type ${type} and ${payload.length} bytes`);
  }

  #expectData(cookie: number, asked: Asked, at: number, length: number, isLast: boolean): void {
    if (at < 0 || at + length > asked.into.length) throw broken('data outside of what was asked for');
    this.#cookie = cookie;
    this.#asked = asked;
    this.#at = at;
    this.#left = length;
    this.#isLast = isLast;
  }

  #finish(cookie: number, asked: Asked): void {
    if (asked.errno === 0 && asked.filled !== asked.into.length) throw broken('a read with less than was asked for');
    this.#done(cookie, asked);
  }
}
