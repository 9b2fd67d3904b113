/**
 * How long to wait for an answer before what was asked is given up and asked again. With a fixed
 * time, a way that is slower than that brings every answer too late, and nothing ever gets done.
 */

/** At most so many times as long as the first time. */
const MOST_DOUBLINGS = 4;
/** An answer that took as long as the slowest of late is not late. */
const MARGIN = 2;
/** How fast slow answers are forgotten, a share each answer. */
const FORGETTING = 0.1;

export class RoundTrip {
  readonly #leastMs: number;
  #slowestMs = 0;
  #lost = 0;

  /** @param leastMs what is waited for in any case, milliseconds */
  constructor(leastMs: number) {
    this.#leastMs = leastMs;
  }

  /** What is waited for, milliseconds. */
  get patienceMs(): number {
    return Math.max(this.#leastMs * 2 ** this.#lost, MARGIN * this.#slowestMs);
  }

  /** An answer came, to what was asked so long ago. */
  answered(tookMs: number): void {
    this.#slowestMs = Math.max(tookMs, this.#slowestMs * (1 - FORGETTING));
    this.#lost = 0;
  }

  /** None came in that time. */
  lost(): void {
    this.#lost = Math.min(this.#lost + 1, MOST_DOUBLINGS);
  }
}
