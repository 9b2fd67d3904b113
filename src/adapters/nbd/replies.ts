import type { PayloadPool } from './payload-pool.ts';
import {
  CHUNK,
  CHUNK_DONE,
  CHUNK_HEADER_BYTES,
  CHUNK_OFFSET_BYTES,
  SIMPLE_REPLY_BYTES,
  SIMPLE_REPLY_MAGIC,
  STRUCTURED_REPLY_MAGIC,
} from './protocol.ts';
import type { NbdRequest } from './requests.ts';

const SLAB_BYTES = 256 << 10;
/** Replies up to this size share slabs; longer ones have memory of their own. */
const SHARED_UP_TO = 64 << 10;
const SLABS_KEPT = 8;

interface Slab {
  readonly bytes: Buffer;
  /** Of many replies; else of one, and its bytes come from the pool. */
  readonly isShared: boolean;
  used: number;
  /** Places given out whose bytes have not left yet. */
  open: number;
}

/** A place for one reply. What is to be filled, is `room`; its head is written when it is sent. */
export interface Place {
  readonly slab: Slab;
  readonly start: number;
  readonly end: number;
}

/** Bytes that leave together, and places they fill. */
interface Piece {
  readonly slab: Slab;
  readonly start: number;
  end: number;
  places: number;
}

/**
 * Replies of one connection, put one behind the other in shared memory, so
 * that many of them leave in one write; the memory is used again.
 */
export class Replies {
  readonly #write: (buffers: readonly Buffer[], sent: () => void) => void;
  readonly #pool: PayloadPool;
  readonly #free: Slab[] = [];
  #slab: Slab = sharedSlab();
  #pieces: Piece[] = [];
  #scheduled = false;

  /** `write` calls `sent` when the buffers may be changed again. */
  constructor(pool: PayloadPool, write: (buffers: readonly Buffer[], sent: () => void) => void) {
    this.#pool = pool;
    this.#write = write;
  }

  /** A place for the reply to a read, with its data. */
  placeForRead(length: number, structured: boolean): Place {
    return this.#take((structured ? CHUNK_HEADER_BYTES + CHUNK_OFFSET_BYTES : SIMPLE_REPLY_BYTES) + length);
  }

  /** The data's part of a place for a read. */
  room({ slab, end }: Place, length: number): Buffer {
    return slab.bytes.subarray(end - length, end);
  }

  /** The place is not used after all. */
  abandon({ slab }: Place): void {
    slab.open -= 1;
    this.#recycle(slab);
  }

  /** The room has been filled. */
  sendRead(request: NbdRequest, place: Place, structured: boolean): void {
    const { bytes } = place.slab;
    if (structured) {
      const payload = CHUNK_OFFSET_BYTES + request.length;
      writeChunkHeader(bytes, place.start, request, CHUNK_DONE, CHUNK.data, payload);
      writeOffset(bytes, place.start + CHUNK_HEADER_BYTES, request.offset);
    } else writeSimple(bytes, place.start, request, 0);
    this.#send(place);
  }

  /** "Simple reply message", without data. */
  sendSimple(request: NbdRequest, errno: number): void {
    const place = this.#take(SIMPLE_REPLY_BYTES);
    writeSimple(place.slab.bytes, place.start, request, errno);
    this.#send(place);
  }

  /** NBD_REPLY_TYPE_ERROR, as the only chunk. */
  sendErrorChunk(request: NbdRequest, errno: number, words: string): void {
    const text = Buffer.from(words).subarray(0, 1024);
    const place = this.#take(CHUNK_HEADER_BYTES + 6 + text.length);
    const { bytes } = place.slab;
    writeChunkHeader(bytes, place.start, request, CHUNK_DONE, CHUNK.error, 6 + text.length);
    bytes.writeUInt32BE(errno, place.start + CHUNK_HEADER_BYTES);
    bytes.writeUInt16BE(text.length, place.start + CHUNK_HEADER_BYTES + 4);
    text.copy(bytes, place.start + CHUNK_HEADER_BYTES + 6);
    this.#send(place);
  }

  /** NBD_REPLY_TYPE_BLOCK_STATUS, as the only chunk; pairs of length and state. */
  sendBlockStatus(request: NbdRequest, contextId: number, descriptors: readonly number[]): void {
    const payload = 4 + 4 * descriptors.length;
    const place = this.#take(CHUNK_HEADER_BYTES + payload);
    const { bytes } = place.slab;
    writeChunkHeader(bytes, place.start, request, CHUNK_DONE, CHUNK.blockStatus, payload);
    let at = bytes.writeUInt32BE(contextId, place.start + CHUNK_HEADER_BYTES);
    for (const number of descriptors) at = bytes.writeUInt32BE(number, at);
    this.#send(place);
  }

  #take(length: number): Place {
    let slab = this.#slab;
    if (length > SHARED_UP_TO) slab = { bytes: this.#pool.take(length), isShared: false, used: 0, open: 0 };
    else if (slab.used + length > slab.bytes.length) {
      slab = this.#free.pop() ?? sharedSlab();
      const full = this.#slab;
      this.#slab = slab;
      this.#recycle(full);
    }
    const start = slab.used;
    slab.used += length;
    slab.open += 1;
    return { slab, start, end: slab.used };
  }

  #send({ slab, start, end }: Place): void {
    const last = this.#pieces.at(-1);
    if (last !== undefined && last.slab === slab && last.end === start) {
      last.end = end;
      last.places += 1;
    } else this.#pieces.push({ slab, start, end, places: 1 });
    if (this.#scheduled) return;
    this.#scheduled = true;
    // After everything that is ready by now has put its reply here too.
    process.nextTick(() => this.flush());
  }

  /** Sends what has been collected. */
  flush(): void {
    this.#scheduled = false;
    if (this.#pieces.length === 0) return;
    const pieces = this.#pieces;
    this.#pieces = [];
    const buffers = pieces.map(({ slab, start, end }) => slab.bytes.subarray(start, end));
    this.#write(buffers, () => {
      for (const { slab, places } of pieces) {
        slab.open -= places;
        this.#recycle(slab);
      }
    });
  }

  #recycle(slab: Slab): void {
    if (slab.open > 0) return;
    slab.used = 0;
    if (!slab.isShared) this.#pool.give(slab.bytes);
    else if (slab !== this.#slab && this.#free.length < SLABS_KEPT) this.#free.push(slab);
  }
}

function sharedSlab(): Slab {
  return { bytes: Buffer.allocUnsafeSlow(SLAB_BYTES), isShared: true, used: 0, open: 0 };
}

function writeSimple(bytes: Buffer, at: number, request: NbdRequest, errno: number): void {
  bytes.writeUInt32BE(SIMPLE_REPLY_MAGIC, at);
  bytes.writeUInt32BE(errno, at + 4);
  bytes.writeUInt32BE(request.cookieHigh, at + 8);
  bytes.writeUInt32BE(request.cookieLow, at + 12);
}

function writeChunkHeader(
  bytes: Buffer,
  at: number,
  request: NbdRequest,
  flags: number,
  type: number,
  payload: number,
): void {
  bytes.writeUInt32BE(STRUCTURED_REPLY_MAGIC, at);
  bytes.writeUInt16BE(flags, at + 4);
  bytes.writeUInt16BE(type, at + 6);
  bytes.writeUInt32BE(request.cookieHigh, at + 8);
  bytes.writeUInt32BE(request.cookieLow, at + 12);
  bytes.writeUInt32BE(payload, at + 16);
}

function writeOffset(bytes: Buffer, at: number, offset: number): void {
  bytes.writeUInt32BE(Math.floor(offset / 0x1_0000_0000), at);
  bytes.writeUInt32BE(offset % 0x1_0000_0000, at + 4);
}
