/**
 * What the DR executes in its image: what is settled and here, strictly in order. It is made durable, and then its order
 * and data are let go of.
 */
import { Applier } from './applier.ts';
import type { Comparing } from './comparing.ts';
import type { Dr, Suspended } from './dr.ts';
import { RECORD_BYTES } from './record.ts';
import { pointAfter } from './ring.ts';
import { MODES } from './rules.ts';

/**
 * While the volume is served here, so much is executed before it has to be durable: a disk that has more to write than
 * that lets those wait who flush.
 */
const AHEAD = 4 << 20;
/** And so much while somebody waits: of small writes even a slow disk has done this soon. */
const AHEAD_OF_WAITING = 256 << 10;

export interface ExecutionParts {
  readonly dr: Dr;
  readonly comparing: Comparing;
  /** The volume is served here, or about to be. */
  readonly isServing: () => boolean;
  /** Somebody whom it is served to waits for the disk. */
  readonly isWaitedFor: () => boolean;
  /** What is here is about to be forgotten. */
  readonly isRestarting: () => boolean;
  /** Everything up to that sequence is durable in the image, and gone from the history. */
  readonly released: (sequence: number) => void;
}

export class Execution {
  readonly #parts: ExecutionParts;
  readonly #dr: Dr;
  readonly #applier: Applier<Suspended>;
  #applied: number;
  #checkpointing = false;

  constructor(parts: ExecutionParts) {
    const { dr, comparing } = parts;
    this.#parts = parts;
    this.#dr = dr;
    this.#applied = dr.history.base.sequence;
    this.#applier = new Applier<Suspended>({
      image: dr.parts.areas.image,
      ready: (most) => this.#ready(most),
      payload: ({ record }) => dr.suspended.read(record.place + RECORD_BYTES, record.length),
      before: (entries, go) => {
        comparing.began(entries);
        // What the image is meanwhile is nothing to go back to.
        if (dr.undo === undefined || dr.state.value.staleUntil > 0) return go();
        const records = entries.map(({ record }) => record);
        dr.undo.keep(records, go);
      },
      applied: (entries) => {
        this.#applied = (entries.at(-1) as Suspended).record.sequence;
        this.#checkpoint();
        comparing.progress();
      },
      // A full or failing disk stops the image, nothing else; the order and the data stay.
      failed: () => void dr.parts.ticker.after(dr.parts.retryMs, () => this.run()),
    });
  }

  /** Executed up to here, perhaps not durably yet. */
  get applied(): number {
    return this.#applied;
  }

  /** Whether everything up to there is executed, or can be from what is here. */
  reaches(sequence: number): boolean {
    const { history } = this.#dr;
    if (sequence > history.last.sequence) return false;
    for (const { record, stored } of history.from(history.base.sequence + 1)) {
      if (record.sequence > sequence) return true;
      if (!stored) return false;
    }
    return true;
  }

  get isIdle(): boolean {
    return !this.#applier.isRunning && !this.#checkpointing;
  }

  /** Executes what may be. */
  run(): void {
    this.#applier.run();
  }

  /** The image is as of that sequence. */
  restart(sequence: number): void {
    this.#applied = sequence;
  }

  #ready(most: number): Suspended[] {
    const ready: Suspended[] = [];
    if (this.#parts.isRestarting()) return ready;
    const { history, suspended, settled } = this.#dr;
    const { base } = history;
    const served = this.#parts.isWaitedFor() ? AHEAD_OF_WAITING : AHEAD;
    const ahead = this.#parts.isServing() ? Math.min(served, suspended.bytes / 4) : Number.POSITIVE_INFINITY;
    for (const entry of history.from(this.#applied + 1)) {
      const { record, ordered, stored } = entry;
      if (ready.length === most || record.sequence > settled || !ordered || !stored) break;
      if (!this.#parts.comparing.allows(record)) break;
      const hasMore = ready.length > 0 || this.#applied > base.sequence;
      if (hasMore && record.place - base.place > ahead) break;
      ready.push(entry);
    }
    return ready;
  }

  /** Makes what was executed durable, then lets go of its order and data. */
  #checkpoint(): void {
    const { history, parts, state } = this.#dr;
    if (this.#checkpointing || this.#parts.isRestarting() || this.#applied <= history.base.sequence) return;
    this.#checkpointing = true;
    const { sequence } = (history.at(this.#applied) as Suspended).record;
    parts.areas.image.sync((error) => {
      if (error) {
        this.#checkpointing = false;
        return void parts.ticker.after(parts.retryMs, () => this.#checkpoint());
      }
      const { record } = history.at(sequence) as Suspended;
      state.save(
        { base: pointAfter(record), baseEpoch: record.epoch, staleUntil: this.staleAfter(sequence) },
        (failure) => {
          this.#checkpointing = false;
          if (failure) return parts.failed(failure);
          history.release(sequence);
          this.#parts.released(sequence);
          // It may have waited for this.
          this.run();
          this.#checkpoint();
        },
      );
    });
  }

  /** Up to where the image is no state of the volume, once it is executed up to `sequence`; 0: it is one. */
  staleAfter(sequence: number): number {
    const { history, state } = this.#dr;
    let { staleUntil } = state.value;
    for (const { record } of history.from(history.base.sequence + 1)) {
      if (record.sequence > sequence) break;
      if (record.kind === 'mode' && record.sequence > staleUntil && MODES[record.offset] !== 'no-dr') staleUntil = 0;
    }
    return staleUntil;
  }
}
