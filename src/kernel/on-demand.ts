/** One connection, opened when it is first needed and again when it was lost. */
export class OnDemand<T> {
  readonly #parts: OnDemandParts<T>;
  readonly #closed = new AbortController();
  #now: Promise<T> | undefined;

  constructor(parts: OnDemandParts<T>) {
    this.#parts = parts;
  }

  /** What is open, or is being opened. A failure to open is not kept: the next call tries again. */
  get(): Promise<T> {
    if (this.#now !== undefined) return this.#now;
    const opening = this.#parts.open(this.#closed.signal);
    this.#now = opening;
    const forget = () => {
      if (this.#now === opening) this.#now = undefined;
    };
    opening.then((open) => this.#parts.lost(open).then(forget, forget), forget);
    return opening;
  }

  /** Closes what is open; what is being opened is told to stop. */
  async close(): Promise<void> {
    this.#closed.abort();
    const open = await this.#now?.catch(() => undefined); // one that was never opened need not be closed
    if (open !== undefined) await this.#parts.close(open);
  }
}

export interface OnDemandParts<T> {
  readonly open: (signal: AbortSignal) => Promise<T>;
  /** Settles when it is lost. */
  readonly lost: (open: T) => Promise<unknown>;
  readonly close: (open: T) => Promise<void>;
}
