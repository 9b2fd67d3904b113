import type { Throttle } from '../../kernel/throttle.ts';

/** Larger than any reply can hold: batches are then bounded by bytes (16 MB), not by count. */
export const WHOLE_REPLY = 0x7fffffff;
/** Of replies while the rate is limited, in bytes. */
const LEAST_PIECE = 64 * 1024;
const MOST_PIECE = 512 * 1024;
const PIECES_PER_SECOND = 64;
/** Of a document, until the first were seen. */
const FIRST_GUESS_BYTES = 4096;

/**
 * How many documents to ask for. Without a limit as many as a reply holds:
 * fewest round trips. With one, pieces that a core of the source is busy with
 * for a few milliseconds only: behind a whole reply neighbours would wait.
 */
export class PieceSize {
  readonly #throttle: Throttle;
  #documentBytes = FIRST_GUESS_BYTES;

  constructor(throttle: Throttle) {
    this.#throttle = throttle;
  }

  saw(documents: number, bytes: number): void {
    if (documents > 0) this.#documentBytes = bytes / documents;
  }

  documents(): number {
    if (!this.#throttle.isLimited) return WHOLE_REPLY;
    const bytes = Math.max(LEAST_PIECE, Math.min(MOST_PIECE, this.#throttle.bytesPerSecond / PIECES_PER_SECOND));
    return Math.max(1, Math.floor(bytes / this.#documentBytes));
  }
}
