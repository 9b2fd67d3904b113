/** Syncs in the pool, one after the other, during which nothing else was asked for: then one client is there, and it waits. */
const ALONE_AFTER = 32;
/** After so many on the spot, one goes to the pool again, to see whether somebody else is there now. */
const LOOK_EVERY = 16;
/** What takes longer is not held up noticeably by the way through the pool. */
const LONG_MS = 5;

/**
 * Whether a sync may be made on the spot. That holds up this thread for as long as
 * the disk takes, which harms nobody when the only client waits for just that; the
 * way through the thread pool would take it as long again. Syncs in the pool show who
 * else is there: whoever asks for something while one is under way.
 */
export class Solitude {
  #aloneInPool = 0;
  #onTheSpot = 0;
  #inPool = false;
  #disturbed = false;

  /** Something is asked for: anything, a sync too. */
  called(): void {
    if (this.#inPool) this.#disturbed = true;
  }

  /** Whether the next sync is made on the spot; `took` or `began` must follow. */
  get isAlone(): boolean {
    return this.#aloneInPool >= ALONE_AFTER && this.#onTheSpot < LOOK_EVERY;
  }

  /** One was made on the spot. */
  took(ms: number): void {
    this.#onTheSpot += 1;
    if (ms > LONG_MS) this.#aloneInPool = 0;
  }

  /** One begins in the pool. */
  began(): void {
    this.#inPool = true;
    this.#disturbed = false;
    this.#onTheSpot = 0;
  }

  /** It ended after so long. */
  ended(ms: number): void {
    this.#inPool = false;
    this.#aloneInPool = this.#disturbed || ms > LONG_MS ? 0 : this.#aloneInPool + 1;
  }
}
