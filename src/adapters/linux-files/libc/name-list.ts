/**
 * Names of a directory in the order of their bytes. Of a very large one they are
 * kept as bytes: a million strings, and the sorting of them, need some hundred
 * megabytes.
 */
import type { Name } from './bytes.ts';

/** An array of names is one, too. */
export interface NameList {
  readonly length: number;
  at(index: number): Name | undefined;
}

/** From here on they are kept as bytes. */
const MANY = 20_000;

/** Takes names one by one. */
export class NameCollector {
  readonly #many: number;
  #few: Name[] | undefined = [];
  #bytes = Buffer.alloc(0);
  /** Where each begins; one more than there are names. */
  #starts = new Uint32Array(0);
  #count = 0;

  constructor(many = MANY) {
    this.#many = many;
  }

  add(name: Name): void {
    if (this.#few !== undefined) {
      this.#few.push(name);
      if (this.#few.length < this.#many) return;
      const all = this.#few;
      this.#few = undefined;
      this.#bytes = Buffer.allocUnsafeSlow(all.length * 64);
      this.#starts = new Uint32Array(all.length * 2);
      for (const each of all) this.#keep(each);
    } else this.#keep(name);
  }

  #keep(name: Name): void {
    const start = this.#starts[this.#count] as number;
    if (start + name.length > this.#bytes.length) {
      const larger = Buffer.allocUnsafeSlow(Math.max(this.#bytes.length * 2, start + name.length));
      this.#bytes.copy(larger);
      this.#bytes = larger;
    }
    if (this.#count + 1 >= this.#starts.length) {
      const larger = new Uint32Array(this.#starts.length * 2);
      larger.set(this.#starts);
      this.#starts = larger;
    }
    this.#count += 1;
    this.#starts[this.#count] = start + this.#bytes.write(name, start, 'latin1');
  }

  /** All of them, sorted. */
  sorted(): NameList {
    // One character is one byte, so this is the order of the bytes.
    if (this.#few !== undefined) return this.#few.sort();
    const [bytes, starts, length] = [this.#bytes, this.#starts, this.#count];
    const order = sortedBy(length, (a, b) =>
      compare(bytes, starts[a] as number, starts[a + 1] as number, starts[b] as number, starts[b + 1] as number),
    );
    return {
      length,
      at: (index) => {
        const which = order[index];
        return which === undefined ? undefined : bytes.toString('latin1', starts[which], starts[which + 1]);
      },
    };
  }
}

function compare(bytes: Buffer, a: number, endA: number, b: number, endB: number): number {
  let [atA, atB] = [a, b];
  for (; atA < endA && atB < endB; atA += 1, atB += 1) {
    const difference = (bytes[atA] as number) - (bytes[atB] as number);
    if (difference !== 0) return difference;
  }
  return endA - a - (endB - b);
}

/** The numbers below `length` in this order: merged from below, in two arrays of four bytes a number. */
function sortedBy(length: number, order: (a: number, b: number) => number): Uint32Array {
  let from = new Uint32Array(length).map((_, index) => index);
  let to = new Uint32Array(length);
  for (let width = 1; width < length; width *= 2) {
    for (let start = 0; start < length; start += width * 2) {
      const [middle, end] = [Math.min(start + width, length), Math.min(start + width * 2, length)];
      let [left, right] = [start, middle];
      for (let at = start; at < end; at += 1) {
        const isLeft = left < middle && (right >= end || order(from[left] as number, from[right] as number) <= 0);
        to[at] = from[isLeft ? left++ : right++] as number;
      }
    }
    [from, to] = [to, from];
  }
  return from;
}
