/**
 * The part of the order that a role still holds: a chain of records from `base` on.
 * What is at or before the base is settled for good and lies in the images.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { OpRecord } from './record.ts';
import { follows, type Point, pointAfter } from './ring.ts';

export interface Entry {
  readonly record: OpRecord;
}

/** What became of records that were offered. */
export type Admission<E> =
  /** They do not connect to what is held. */
  | { readonly outcome: 'gap' }
  /** `fresh` were appended, after `dropped` of an older epoch were taken away. */
  | { readonly outcome: 'taken'; readonly fresh: readonly E[]; readonly dropped: readonly E[] };

export class History<E extends Entry> {
  #base: Point;
  #entries: E[] = [];
  /** Entries before it are gone already; the array is shortened now and then. */
  #skip = 0;

  constructor(base: Point) {
    this.#base = base;
  }

  get base(): Point {
    return this.#base;
  }

  /** The end of the chain. */
  get last(): Point {
    const last = this.#entries.length > this.#skip ? this.#entries.at(-1) : undefined;
    return last === undefined ? this.#base : pointAfter(last.record);
  }

  get lastEntry(): E | undefined {
    return this.#entries.length > this.#skip ? this.#entries.at(-1) : undefined;
  }

  at(sequence: number): E | undefined {
    if (sequence <= this.#base.sequence) return undefined;
    return this.#entries[this.#skip + sequence - this.#base.sequence - 1];
  }

  /** Whether this chain goes through the record of that sequence and crc. */
  holds(sequence: number, crc: number): boolean {
    if (sequence === this.#base.sequence) return crc === this.#base.crc;
    return this.at(sequence)?.record.crc === crc;
  }

  *from(sequence: number): Generator<E> {
    for (let next = sequence; ; next += 1) {
      const entry = this.at(next);
      if (entry === undefined) return;
      yield entry;
    }
  }

  append(entry: E): void {
    this.#entries.push(entry);
  }

  /**
   * Takes records in order: known ones are passed over, conflicting ones of an older
   * epoch give way. `locked` is the last sequence that can never give way.
   */
  admit(offered: readonly E[], locked: number): Admission<E> {
    const first = offered[0];
    if (first === undefined) return { outcome: 'taken', fresh: [], dropped: [] };
    let dropped: E[] = [];
    const fresh: E[] = [];
    let connected = false;
    for (const entry of offered) {
      const { record } = entry;
      if (record.sequence < this.#base.sequence) continue;
      if (this.holds(record.sequence, record.crc)) {
        connected = true;
        continue;
      }
      if (record.sequence <= this.#base.sequence) throw diverged(record, 'it contradicts what lies in the image');
      const known = this.at(record.sequence);
      if (known === undefined ? !follows(this.last, record) : !this.holds(record.sequence - 1, record.before)) break;
      if (known !== undefined) {
        // Late news of an older epoch.
        if (known.record.epoch > record.epoch) break;
        if (known.record.epoch === record.epoch) throw diverged(record, 'its epoch has another record there');
        if (record.sequence <= locked) throw diverged(record, 'it contradicts what was settled');
        dropped = [...this.cut(record.sequence), ...dropped];
      }
      this.#entries.push(entry);
      fresh.push(entry);
      connected = true;
    }
    return connected ? { outcome: 'taken', fresh, dropped } : { outcome: 'gap' };
  }

  /** Takes away everything from `sequence` on. */
  cut(sequence: number): E[] {
    const keep = this.#skip + sequence - this.#base.sequence - 1;
    return this.#entries.splice(Math.max(keep, this.#skip));
  }

  /** Moves the base forward: everything up to `sequence` is settled and done with. */
  release(sequence: number): E[] {
    const entry = this.at(sequence);
    if (entry === undefined) return [];
    const count = sequence - this.#base.sequence;
    const gone = this.#entries.slice(this.#skip, this.#skip + count);
    this.#base = pointAfter(entry.record);
    this.#skip += count;
    if (this.#skip > 1024 && this.#skip * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#skip);
      this.#skip = 0;
    }
    return gone;
  }

  /** Forgets everything and begins again at `base`. */
  restart(base: Point): void {
    this.#base = base;
    this.#entries = [];
    this.#skip = 0;
  }
}

function diverged(record: OpRecord, why: string): GodwitError {
  return new GodwitError('GW9001', `Record ${record.sequence} of epoch ${record.epoch} cannot be: ${why}`);
}
