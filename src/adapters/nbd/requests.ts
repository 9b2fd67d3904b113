import type { PayloadPool } from './payload-pool.ts';
import { COMMAND, REQUEST_BYTES, REQUEST_MAGIC } from './protocol.ts';

/** A request as it came ("Request message"). The cookie is opaque: two halves, given back as they are. */
export interface NbdRequest {
  readonly flags: number;
  readonly type: number;
  readonly cookieHigh: number;
  readonly cookieLow: number;
  /** Exact below 2^53; above it only known to be too far. */
  readonly offset: number;
  readonly length: number;
  /** Why it was refused when its header was read; 0 otherwise. */
  refusal: number;
}

export interface RequestSink {
  /** Whether no further request may be begun now. */
  readonly isFull: boolean;
  /** A header came: says why it is refused, 0 when it is not. A refused write's payload is skipped. */
  begin(request: NbdRequest): number;
  /** The request is complete; `pooled` goes back to the pool when `payload` has been used. */
  run(request: NbdRequest, payload: Buffer | undefined, pooled: Buffer | undefined): void;
}

/** Takes requests out of what the socket read; a payload that lies in one chunk is not copied. */
export class RequestParser {
  readonly #sink: RequestSink;
  readonly #pool: PayloadPool;
  readonly #header = Buffer.allocUnsafe(REQUEST_BYTES);
  #headerFilled = 0;
  #request: NbdRequest | undefined;
  /** Of the request under way; undefined while its payload is skipped. */
  #pooled: Buffer | undefined;
  #filled = 0;

  constructor(sink: RequestSink, pool: PayloadPool) {
    this.#sink = sink;
    this.#pool = pool;
  }

  /**
   * Gives how many bytes it took: all of them, unless the sink became full; or
   * -1 when this is not NBD, after which nothing can be told from the stream any more.
   */
  push(chunk: Buffer): number {
    let at = 0;
    while (at < chunk.length) {
      if (this.#request !== undefined) {
        at = this.#takePayload(chunk, at);
        continue;
      }
      if (this.#headerFilled === 0 && this.#sink.isFull) return at;
      let header = chunk;
      let from = at;
      if (this.#headerFilled === 0 && chunk.length - at >= REQUEST_BYTES) {
        at += REQUEST_BYTES;
      } else {
        const taken = Math.min(REQUEST_BYTES - this.#headerFilled, chunk.length - at);
        chunk.copy(this.#header, this.#headerFilled, at, at + taken);
        this.#headerFilled += taken;
        at += taken;
        if (this.#headerFilled < REQUEST_BYTES) return at;
        this.#headerFilled = 0;
        header = this.#header;
        from = 0;
      }
      if (header.readUInt32BE(from) !== REQUEST_MAGIC) return -1;
      at = this.#begin(readRequest(header, from), chunk, at);
    }
    return at;
  }

  /** No more bytes will come: gives the request whose payload was cut off. */
  drop(): NbdRequest | undefined {
    const request = this.#request;
    this.#request = undefined;
    this.#pooled = undefined;
    return request;
  }

  #begin(request: NbdRequest, chunk: Buffer, at: number): number {
    request.refusal = this.#sink.begin(request);
    const payload = request.type === COMMAND.write ? request.length : 0;
    if (payload === 0) {
      this.#sink.run(request, undefined, undefined);
      return at;
    }
    if (chunk.length - at >= payload) {
      const bytes = request.refusal === 0 ? chunk.subarray(at, at + payload) : undefined;
      this.#sink.run(request, bytes, undefined);
      return at + payload;
    }
    this.#request = request;
    this.#filled = 0;
    this.#pooled = request.refusal === 0 ? this.#pool.take(payload) : undefined;
    return at;
  }

  #takePayload(chunk: Buffer, at: number): number {
    const request = this.#request!;
    const taken = Math.min(request.length - this.#filled, chunk.length - at);
    const pooled = this.#pooled;
    if (pooled !== undefined) chunk.copy(pooled, this.#filled, at, at + taken);
    this.#filled += taken;
    if (this.#filled === request.length) {
      this.#request = undefined;
      this.#pooled = undefined;
      this.#sink.run(request, pooled?.subarray(0, request.length), pooled);
    }
    return at + taken;
  }
}

function readRequest(header: Buffer, at: number): NbdRequest {
  return {
    flags: header.readUInt16BE(at + 4),
    type: header.readUInt16BE(at + 6),
    cookieHigh: header.readUInt32BE(at + 8),
    cookieLow: header.readUInt32BE(at + 12),
    offset: header.readUInt32BE(at + 16) * 0x1_0000_0000 + header.readUInt32BE(at + 20),
    length: header.readUInt32BE(at + 24),
    refusal: 0,
  };
}
