import type { Clock } from '../../kernel/clock.ts';
import type { RunStore, UnitTotals } from '../../state/index.ts';

const WINDOW_MS = 5_000;

interface Reading {
  readonly atMs: number;
  readonly bytes: number;
  readonly docs: number;
  readonly entries: number;
}

/** Counts what is moved and how fast, over the last few seconds. */
export class Meter {
  readonly #clock: Clock;
  readonly #units = new Map<string, { docs: number; bytes: number }>();
  readonly #readings: Reading[] = [];
  copyDocs = 0;
  copyBytes = 0;
  verifyDocs = 0;
  verifyBytes = 0;
  entries = 0;

  constructor(clock: Clock) {
    this.#clock = clock;
  }

  /** Counts from what earlier processes finished. */
  startFrom(store: RunStore): void {
    for (const total of store.chunkTotals('copy')) this.copied(total.unit, total.docsDone, total.bytesDone);
  }

  copied(unit: string, docs: number, bytes: number): void {
    const counted = this.#units.get(unit) ?? { docs: 0, bytes: 0 };
    counted.docs += docs;
    counted.bytes += bytes;
    this.#units.set(unit, counted);
    this.copyDocs += docs;
    this.copyBytes += bytes;
  }

  verified(docs: number, bytes: number): void {
    this.verifyDocs += docs;
    this.verifyBytes += bytes;
  }

  unit(unit: string): { docs: number; bytes: number } {
    return this.#units.get(unit) ?? { docs: 0, bytes: 0 };
  }

  /** Takes a reading; rates are between the oldest and the newest of the window. */
  read(): void {
    const atMs = this.#clock.now();
    this.#readings.push({ atMs, bytes: this.copyBytes, docs: this.copyDocs, entries: this.entries });
    while (this.#readings.length > 2 && atMs - (this.#readings[0] as Reading).atMs > WINDOW_MS) this.#readings.shift();
  }

  /** Per second. */
  get rates(): { bytes: number; docs: number; entries: number } {
    const first = this.#readings[0];
    const last = this.#readings.at(-1);
    const seconds = first && last ? (last.atMs - first.atMs) / 1000 : 0;
    if (!first || !last || seconds <= 0) return { bytes: 0, docs: 0, entries: 0 };
    return {
      bytes: Math.max(0, (last.bytes - first.bytes) / seconds),
      docs: Math.max(0, (last.docs - first.docs) / seconds),
      entries: Math.max(0, (last.entries - first.entries) / seconds),
    };
  }
}

/** Totals of all units. */
export function sumTotals(totals: readonly UnitTotals[]): { docs: number; bytes: number } {
  return totals.reduce((sum, t) => ({ docs: sum.docs + t.docs, bytes: sum.bytes + t.bytes }), { docs: 0, bytes: 0 });
}
