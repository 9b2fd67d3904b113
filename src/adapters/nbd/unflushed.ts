import type { Volume } from '../../kernel/protect/volume.ts';

/** A change that was answered, and that no flush has covered since. */
export type Change =
  | { readonly kind: 'write'; readonly offset: number; readonly length: number; readonly data: Buffer }
  | { readonly kind: 'zeroes'; readonly offset: number; readonly length: number; readonly mayTrim: boolean }
  | { readonly kind: 'trim'; readonly offset: number; readonly length: number };

/** What a change without data counts for. */
const LEAST = 512;
/** Of changes that are made again at the same time. */
const AT_ONCE = 128;

/**
 * What a server was told and may forget when it crashes: everything since the last flush. A disk may lose that in a crash,
 * but then its users crash with it; who survives the crash of a server has to say it again.
 */
export class Unflushed {
  /** In the order in which they were answered. */
  #changes: Change[] = [];
  /** The number of the first of them. */
  #first = 0;
  #bytes = 0;

  get bytes(): number {
    return this.#bytes;
  }

  get count(): number {
    return this.#changes.length;
  }

  /** The number of the next one: a flush that is asked for now covers all before it. */
  get next(): number {
    return this.#first + this.#changes.length;
  }

  /** `change.data` belongs to this from now on. */
  add(change: Change): void {
    this.#changes.push(change);
    this.#bytes += weightOf(change);
  }

  /** A flush has covered all before this number. */
  drop(next: number): void {
    const gone = this.#changes.splice(0, Math.max(0, next - this.#first));
    this.#first += gone.length;
    for (const change of gone) this.#bytes -= weightOf(change);
  }

  /** Makes all of them again: those that overlap one after the other, as they were answered. */
  async replay(volume: Volume): Promise<void> {
    let together: Change[] = [];
    let running: Promise<void>[] = [];
    for (const change of [...this.#changes]) {
      if (together.length === AT_ONCE || together.some((other) => overlap(other, change))) {
        await Promise.all(running);
        together = [];
        running = [];
      }
      together.push(change);
      running.push(make(volume, change));
    }
    await Promise.all(running);
  }
}

function make(volume: Volume, change: Change): Promise<void> {
  const { offset, length } = change;
  if (change.kind === 'write') return volume.write(offset, change.data, false);
  if (change.kind === 'trim') return volume.trim(offset, length, false);
  return volume.writeZeroes(offset, length, { durable: false, mayTrim: change.mayTrim });
}

function weightOf(change: Change): number {
  return change.kind === 'write' ? change.length + LEAST : LEAST;
}

function overlap(a: Change, b: Change): boolean {
  return a.offset < b.offset + b.length && b.offset < a.offset + a.length;
}
