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
  /** Gives the memory of a large one to the next. Nothing is asked for after that. */
  readonly release?: () => void;
}

/** From here on they are kept as bytes. */
const MANY = 20_000;
const CHUNK_BITS = 20;
const CHUNK = 1 << CHUNK_BITS;
/**
 * Memory of lists that were released: a walk after another lists the same directory, and what the
 * collector would find some day is as much as all names at once.
 */
const spare: Buffer[] = [];
const MOST_SPARE = 64;
const spareNumbers: Uint32Array[] = [];
const MOST_SPARE_NUMBERS = 4;

function numbers(length: number): Uint32Array {
  const at = spareNumbers.findIndex((each) => each.length >= length);
  return (spareNumbers.splice(at, at < 0 ? 0 : 1)[0] ?? new Uint32Array(length)).subarray(0, length);
}

function giveNumbers(given: Uint32Array): void {
  if (spareNumbers.length < MOST_SPARE_NUMBERS) spareNumbers.push(new Uint32Array(given.buffer));
}

/** Takes names one by one. */
export class NameCollector {
  readonly #many: number;
  #few: Name[] | undefined = [];
  /** Each name behind its length, a byte: no name has more than 255. */
  readonly #chunks: Buffer[] = [];
  /** How much of each chunk is used. */
  readonly #used: number[] = [];
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
      for (const each of all) this.#keep(each);
    } else this.#keep(name);
  }

  #keep(name: Name): void {
    let used = this.#used.at(-1) ?? CHUNK;
    if (used + 1 + name.length > CHUNK) {
      this.#chunks.push(spare.pop() ?? Buffer.allocUnsafeSlow(CHUNK));
      this.#used.push(0);
      used = 0;
    }
    const chunk = this.#chunks.at(-1) as Buffer;
    chunk[used] = name.length;
    chunk.write(name, used + 1, 'latin1');
    this.#used[this.#used.length - 1] = used + 1 + name.length;
    this.#count += 1;
  }

  /** All of them, sorted. */
  sorted(): NameList {
    // One character is one byte, so this is the order of the bytes.
    if (this.#few !== undefined) return this.#few.sort();
    const chunks = this.#chunks;
    const order = sortedBy(this.#places(), (a, b) => compare(chunks, a, b));
    return {
      length: order.length,
      at: (index) => {
        const place = order[index];
        if (place === undefined) return undefined;
        const chunk = chunks[place >>> CHUNK_BITS] as Buffer;
        const start = (place & (CHUNK - 1)) + 1;
        return chunk.toString('latin1', start, start + (chunk[start - 1] as number));
      },
      release: () => {
        if (chunks.length > 0) giveNumbers(order);
        for (const chunk of chunks.splice(0)) if (spare.length < MOST_SPARE) spare.push(chunk);
      },
    };
  }

  /** Of each name: the number of its chunk, and where it begins there. */
  #places(): Uint32Array {
    const places = numbers(this.#count);
    let count = 0;
    for (const [number, chunk] of this.#chunks.entries()) {
      const used = this.#used[number] as number;
      for (let at = 0; at < used; at += 1 + (chunk[at] as number)) {
        places[count] = number * CHUNK + at;
        count += 1;
      }
    }
    return places;
  }
}

function compare(chunks: readonly Buffer[], a: number, b: number): number {
  const [bytesA, bytesB] = [chunks[a >>> CHUNK_BITS] as Buffer, chunks[b >>> CHUNK_BITS] as Buffer];
  const [startA, startB] = [a & (CHUNK - 1), b & (CHUNK - 1)];
  const [lengthA, lengthB] = [bytesA[startA] as number, bytesB[startB] as number];
  const both = Math.min(lengthA, lengthB);
  for (let at = 1; at <= both; at += 1) {
    const difference = (bytesA[startA + at] as number) - (bytesB[startB + at] as number);
    if (difference !== 0) return difference;
  }
  return lengthA - lengthB;
}

/** Merged from below, in two arrays of four bytes a number. */
function sortedBy(values: Uint32Array, order: (a: number, b: number) => number): Uint32Array {
  const { length } = values;
  let from: Uint32Array = values;
  let to = numbers(length);
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
  giveNumbers(to);
  return from;
}
