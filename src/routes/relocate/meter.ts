import type { Clock } from '../../kernel/clock.ts';

const WINDOW_MS = 5_000;
const SAY_EVERY_MS = 500;

interface Reading {
  readonly atMs: number;
  readonly entries: number;
  readonly bytes: number;
}

/** How fast it goes, over the last seconds, and how long it will take. */
export class Meter {
  readonly #clock: Clock;
  readonly #readings: Reading[] = [];
  #saidAt = Number.NEGATIVE_INFINITY;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Whether it is time to say something again. */
  get isDue(): boolean {
    return this.#clock.now() - this.#saidAt >= SAY_EVERY_MS;
  }

  read(entries: number, bytes: number): { entriesPerSecond: number; bytesPerSecond: number } {
    const atMs = this.#clock.now();
    this.#saidAt = atMs;
    this.#readings.push({ atMs, entries, bytes });
    while (this.#readings.length > 2 && atMs - (this.#readings[0] as Reading).atMs > WINDOW_MS) this.#readings.shift();
    const first = this.#readings[0] as Reading;
    const seconds = (atMs - first.atMs) / 1000;
    if (seconds <= 0) return { entriesPerSecond: 0, bytesPerSecond: 0 };
    return {
      entriesPerSecond: Math.max(0, (entries - first.entries) / seconds),
      bytesPerSecond: Math.max(0, (bytes - first.bytes) / seconds),
    };
  }

  reset(): void {
    this.#readings.length = 0;
  }
}

/** The slower of both decides: many small files are counted by names, large ones by bytes. */
export function secondsLeft(
  done: { entries: number; bytes: number },
  total: { entries: number; bytes: number },
  rates: { entriesPerSecond: number; bytesPerSecond: number },
): number | undefined {
  const part = (left: number, rate: number) => (left <= 0 ? 0 : rate > 0 ? left / rate : Number.POSITIVE_INFINITY);
  const seconds = Math.max(
    part(total.entries - done.entries, rates.entriesPerSecond),
    part(total.bytes - done.bytes, rates.bytesPerSecond),
  );
  return Number.isFinite(seconds) ? Math.round(seconds) : undefined;
}
