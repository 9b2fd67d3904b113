/**
 * Sends what the DR missed while it was away: each dirty chunk is written again with what it
 * holds, as an operation in the order like any other, which changes nothing here.
 */
import { overlap } from './applier.ts';
import type { Dirty } from './dirty.ts';
import type { Primary } from './primary.ts';
import { changesImage } from './record.ts';

/** Chunks on their way at once. */
const MOST = 8;

export class Resync {
  readonly #primary: Primary;
  readonly #dirty: Dirty;
  #next = 0;
  #running = 0;

  constructor(primary: Primary, dirty: Dirty) {
    this.#primary = primary;
    this.#dirty = dirty;
  }

  tick(): void {
    const { leadership, lanes, parts } = this.#primary;
    if (!leadership.leads || this.#dirty.isEmpty) return;
    this.#dirty.landed(lanes.secured);
    if (lanes.silentFor('dr') > parts.settings.resendMs * 4) return;
    while (this.#running < MOST) {
      const chunk = this.#dirty.next(this.#next);
      if (chunk === undefined) break;
      this.#next = chunk.number + 1;
      this.#running += 1;
      // On its way from now on, so that it is not taken twice; the real sequence follows.
      this.#dirty.sent(chunk.number, Number.POSITIVE_INFINITY);
      this.#send(chunk.number, chunk.offset, chunk.length).then(
        (taken) => {
          this.#running -= 1;
          if (taken) this.tick();
        },
        (error: unknown) => parts.failed(error as Error),
      );
    }
    if (this.#dirty.isEmpty) this.#dirty.save((error) => error && parts.failed(error));
  }

  /** Whether it went into the order. */
  async #send(chunk: number, offset: number, length: number): Promise<boolean> {
    const { history, store } = this.#primary;
    const seen = history.last.sequence;
    const payload = Buffer.alloc(length);
    await store.read(offset, payload);
    // Changed while it was read: what was read must not come after the change in the order.
    let changed = history.base.sequence > seen;
    for (const { record } of history.from(seen + 1)) {
      changed ||= changesImage(record.kind) && overlap(record, { offset, length });
    }
    const sequence = changed ? undefined : this.#primary.resync(offset, payload);
    if (sequence === undefined) this.#dirty.unsend(chunk);
    else this.#dirty.sent(chunk, sequence);
    return sequence !== undefined;
  }
}
