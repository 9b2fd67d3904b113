/** How much older than the oldest change of one look another may be that the next look still finds. */
const MARGIN_MS = 1_000;
/** Between two whole looks lie so many times the duration of one, and so long while others find something. */
const REST = 20;
const WHOLE_EVERY_MS = 500;

/** One look at the queue. */
export interface QueueLook {
  /** How old a change may be that it looks for, in milliseconds; undefined: as old as any. */
  readonly mostAgeMs: number | undefined;
  /** It is over. `oldestMs`: the age of the oldest change that it found; undefined when it found none. */
  end(now: number, oldestMs: number | undefined): void;
}

/**
 * Where a look at the queue begins. The rows of changes that were carried
 * stay in its index until they are vacuumed, which nothing may do while a
 * snapshot is open that could see them, such as that of a long comparison. A
 * look that began at the first of them would wade through all. So a look
 * leaves out what is much older than the oldest change that the last one found.
 * Only a transaction that took longer than the margin can have left such a
 * one: for these, now and then, a look begins at the first.
 */
export class QueueStart {
  #floor = 0;
  #foundNone = true;
  #wholeEnd = Number.NEGATIVE_INFINITY;
  #wholeTook = 0;

  /** `now`: milliseconds of a clock that never goes back. */
  begin(now: number): QueueLook {
    const rest = Math.max(REST * this.#wholeTook, this.#foundNone ? 0 : WHOLE_EVERY_MS);
    const isWhole = now >= this.#wholeEnd + rest;
    return {
      mostAgeMs: isWhole ? undefined : now - this.#floor,
      end: (end, oldestMs) => {
        this.#floor = now - (oldestMs ?? 0) - MARGIN_MS;
        this.#foundNone = oldestMs === undefined;
        if (!isWhole) return;
        this.#wholeEnd = end;
        this.#wholeTook = end - now;
      },
    };
  }
}
