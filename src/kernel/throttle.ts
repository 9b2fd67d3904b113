import type { Clock } from './clock.ts';

/**
 * A byte rate that can be changed while it is in use, and says why it is what
 * it is. `take` spends from an allowance that refills with time; the allowance
 * may go below zero, so that a large message waits once, in full, instead of
 * being cut up.
 */
export class Throttle {
  readonly #clock: Clock;
  #bytesPerSecond = Number.POSITIVE_INFINITY;
  #reason: string | undefined;
  #allowance = 0;
  #filledAt: number;
  #waiting = Promise.resolve();
  #turns = Promise.resolve();
  #waitedAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#filledAt = clock.now();
  }

  /** Present rate; infinite when nothing limits it. */
  get bytesPerSecond(): number {
    return this.#bytesPerSecond;
  }

  /** Whether the limit has made anyone wait in the last two seconds: a limit nobody reaches slows nobody down. */
  get isBinding(): boolean {
    return this.#clock.now() - this.#waitedAt < 2_000;
  }

  /** Why the rate is limited, in words; undefined when it is not. */
  get reason(): string | undefined {
    return this.#reason;
  }

  /** Whether there is a limit at all. */
  get isLimited(): boolean {
    return Number.isFinite(this.#bytesPerSecond);
  }

  /**
   * Runs `work`; while there is a limit, one at a time. At half the rate two
   * lanes at once still hold two cores of the source at the same moment, which
   * is what neighbours feel.
   */
  async turn<T>(work: () => Promise<T>): Promise<T> {
    if (!this.isLimited) return work();
    const before = this.#turns;
    let over: () => void = () => undefined;
    this.#turns = new Promise((resolve) => {
      over = resolve;
    });
    try {
      await before;
      return await work();
    } finally {
      over();
    }
  }

  /** Changes the rate. A finite rate needs a reason. */
  limit(bytesPerSecond: number, reason: string | undefined): void {
    this.#refill();
    if (!this.isLimited) this.#allowance = 0;
    this.#bytesPerSecond = bytesPerSecond;
    this.#reason = Number.isFinite(bytesPerSecond) ? reason : undefined;
  }

  /** Waits until `bytes` may be moved. Callers are served in turn. */
  take(bytes: number, signal: AbortSignal): Promise<void> {
    if (!this.isLimited) return Promise.resolve();
    const turn = this.#waiting.then(() => this.#spend(bytes, signal));
    this.#waiting = turn;
    return turn;
  }

  async #spend(bytes: number, signal: AbortSignal): Promise<void> {
    for (;;) {
      this.#refill();
      if (signal.aborted || !this.isLimited || this.#allowance >= 0) break;
      this.#waitedAt = this.#clock.now();
      // Short waits, so that a raised rate is felt at once.
      const waitMs = Math.min(100, Math.ceil((-this.#allowance / this.#bytesPerSecond) * 1000));
      await this.#clock.sleep(Math.max(1, waitMs), signal);
    }
    this.#allowance -= bytes;
  }

  #refill(): void {
    const now = this.#clock.now();
    if (this.isLimited) {
      const earned = ((now - this.#filledAt) / 1000) * this.#bytesPerSecond;
      // At most a quarter of a second may be saved up: neighbours feel bursts.
      this.#allowance = Math.min(this.#allowance + earned, this.#bytesPerSecond / 4);
    }
    this.#filledAt = now;
  }
}

/** A throttle for a rate that somebody asked for with `--max-rate`, in whatever is taken from it; undefined: no limit. */
export function throttleOf(maxRate: number | undefined, clock: Clock): Throttle {
  const throttle = new Throttle(clock);
  if (maxRate !== undefined) throttle.limit(maxRate, '--max-rate');
  return throttle;
}
