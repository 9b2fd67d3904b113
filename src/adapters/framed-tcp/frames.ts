/** Frames on a byte stream: a length of 32 bits, big-endian, and so many bytes. */

const HEAD = 4;

/** Cuts a stream into frames. A frame is a view of what was received, or put together from pieces. */
export class FrameReader {
  readonly #most: number;
  #pieces: Buffer[] = [];
  #held = 0;
  #wanted: number | undefined;

  /** @param most longer frames are an error: they are no frames */
  constructor(most: number) {
    this.#most = most;
  }

  *push(chunk: Buffer): Generator<Buffer> {
    this.#pieces.push(chunk);
    this.#held += chunk.length;
    for (;;) {
      if (this.#wanted === undefined) {
        if (this.#held < HEAD) return;
        this.#wanted = this.#take(HEAD).readUInt32BE(0);
        if (this.#wanted > this.#most) throw new RangeError(`a frame of ${this.#wanted} bytes`);
      }
      if (this.#held < this.#wanted) return;
      const frame = this.#take(this.#wanted);
      this.#wanted = undefined;
      yield frame;
    }
  }

  #take(bytes: number): Buffer {
    const first = this.#pieces[0];
    this.#held -= bytes;
    if (first !== undefined && first.length >= bytes) {
      if (first.length === bytes) this.#pieces.shift();
      else this.#pieces[0] = first.subarray(bytes);
      return first.subarray(0, bytes);
    }
    const out = Buffer.allocUnsafe(bytes);
    let at = 0;
    while (at < bytes) {
      const piece = this.#pieces[0] as Buffer;
      const part = Math.min(piece.length, bytes - at);
      piece.copy(out, at, 0, part);
      at += part;
      if (part === piece.length) this.#pieces.shift();
      else this.#pieces[0] = piece.subarray(part);
    }
    return out;
  }
}

/** The head of a frame whose parts have so many bytes together. */
export function frameHead(bytes: number): Buffer {
  const head = Buffer.allocUnsafe(HEAD);
  head.writeUInt32BE(bytes, 0);
  return head;
}
