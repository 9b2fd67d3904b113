/** Sleeps that grow while there is nothing to do, and that a wake-up cuts short. */
export class Pacer {
  readonly #leastMs: number;
  readonly #mostMs: number;
  #nextMs: number;
  #sleeping: { readonly until: number; readonly rearm: (ms: number) => void } | undefined;

  constructor(leastMs: number, mostMs: number) {
    this.#leastMs = leastMs;
    this.#mostMs = mostMs;
    this.#nextMs = leastMs;
  }

  /** There is, or soon will be, something to do: the next look is after the least pause. */
  wake(): void {
    this.#nextMs = this.#leastMs;
    const sleeping = this.#sleeping;
    if (sleeping !== undefined && sleeping.until - performance.now() > this.#leastMs) sleeping.rearm(this.#leastMs);
  }

  /** The pause after a look that found nothing; resolves at once when the signal is set. */
  async idle(signal: AbortSignal): Promise<void> {
    const ms = this.#nextMs;
    this.#nextMs = Math.min(this.#mostMs, ms * 2);
    await this.pause(ms, signal);
  }

  pause(ms: number, signal: AbortSignal): Promise<void> {
    if (signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      let timer: NodeJS.Timeout;
      const done = () => {
        clearTimeout(timer);
        signal.removeEventListener('abort', done);
        this.#sleeping = undefined;
        resolve();
      };
      const arm = (forMs: number) => {
        clearTimeout(timer);
        timer = setTimeout(done, forMs);
        this.#sleeping = { until: performance.now() + forMs, rearm: arm };
      };
      arm(ms);
      signal.addEventListener('abort', done, { once: true });
    });
  }
}
