import { BSON_TYPE as T } from '../bson/types.ts';
import { docLength, findElement, readInt32, valueOffset } from '../bson/walk.ts';
import type { DocumentBatch } from './read-parts.ts';

const FIRST_BYTES = 16 * 1024 * 1024;
const LONGEST_DOCUMENT = 16 * 1024 * 1024 + 64 * 1024;

/**
 * Puts documents into about the order of their `_id`s, as the server has it.
 * A target that is filled in that order does less work: neighbours in the index
 * come one after another instead of anywhere. Only speed depends on it, so a
 * few bytes of each `_id` are enough to go by, and collations, which would
 * order otherwise, do not matter. The memory is used again for the next run.
 */
export class Sorter {
  #run = Buffer.allocUnsafeSlow(FIRST_BYTES);
  #bytes = 0;
  #documents = 0;
  #starts = new Uint32Array(0);
  #keys = new Float64Array(0);
  #order = new Uint32Array(0);
  #piece = Buffer.alloc(0);

  /** Takes documents in; their bytes are copied. */
  add(docs: Buffer, documents: number): void {
    const needed = this.#bytes + docs.length;
    if (needed > this.#run.length) {
      const grown = Buffer.allocUnsafeSlow(Math.max(needed, this.#run.length * 2));
      this.#run.copy(grown, 0, 0, this.#bytes);
      this.#run = grown;
    }
    docs.copy(this.#run, this.#bytes);
    this.#bytes = needed;
    this.#documents += documents;
  }

  /** Gives everything back in order, in pieces of about `most` bytes, and is empty then. Each is valid until the next. */
  *pieces(most: number): Generator<DocumentBatch, void, void> {
    const docs = this.#run.subarray(0, this.#bytes);
    const count = this.#documents;
    this.#bytes = 0;
    this.#documents = 0;
    const sorted = this.#sort(docs, count);
    for (let i = 0; i < count; ) {
      const first = i;
      let bytes = 0;
      for (; i < count && bytes < most; i += 1) bytes += readInt32(docs, this.#starts[sorted ? this.#order[i]! : i]!);
      const start = this.#starts[first]!;
      yield {
        docs: sorted ? this.#gather(docs, first, i, bytes) : docs.subarray(start, start + bytes),
        documents: i - first,
      };
    }
  }

  /** Finds the order; false when the documents are in it already. */
  #sort(docs: Buffer, count: number): boolean {
    if (this.#starts.length < count) {
      const room = Math.ceil(count * 1.25);
      this.#starts = new Uint32Array(room);
      this.#keys = new Float64Array(room);
      this.#order = new Uint32Array(room);
    }
    if (this.#readKeys(docs, count)) return false;
    const keys = this.#keys;
    const order = this.#order.subarray(0, count);
    for (let i = 0; i < count; i += 1) order[i] = i;
    order.sort((a, b) => keys[a]! - keys[b]!);
    return true;
  }

  #gather(docs: Buffer, first: number, end: number, bytes: number): Buffer {
    if (this.#piece.length < bytes) this.#piece = Buffer.allocUnsafeSlow(bytes + LONGEST_DOCUMENT);
    let at = 0;
    for (let i = first; i < end; i += 1) {
      const start = this.#starts[this.#order[i]!]!;
      at += docs.copy(this.#piece, at, start, start + readInt32(docs, start));
    }
    return this.#piece.subarray(0, at);
  }

  /** Whether the keys grow as they come. */
  #readKeys(docs: Buffer, count: number): boolean {
    const skip = commonPrefix(docs, count);
    let inOrder = true;
    let last = Number.NEGATIVE_INFINITY;
    for (let i = 0, at = 0; i < count; i += 1) {
      const key = keyOf(docs, at, skip);
      this.#starts[i] = at;
      this.#keys[i] = key;
      if (key < last) inOrder = false;
      last = key;
      at += docLength(docs, at);
    }
    return inOrder;
  }
}

/** Bytes of text that go into a key: with the rank of the type they fill what a double holds exactly. */
const KEY_BYTES = 6;
const SPAN = 2 ** 48;

/** A number that grows with the `_id` of the document at `at`, as the server orders them; nearly. */
function keyOf(docs: Buffer, at: number, skip: number): number {
  // Servers put `_id` first.
  const element = isIdFirst(docs, at) ? at + 4 : findElement(docs, at, '_id');
  if (element < 0) return 0;
  const type = docs[element]!;
  const value = element === at + 4 ? at + 9 : valueOffset(docs, element);
  switch (type) {
    case T.int32:
      return 2 * SPAN + squeeze(readInt32(docs, value));
    case T.double:
      return 2 * SPAN + squeeze(docs.readDoubleLE(value));
    case T.int64:
      return 2 * SPAN + squeeze(Number(docs.readBigInt64LE(value)));
    case T.string:
    case T.symbol: {
      const length = readInt32(docs, value) - 1;
      const from = Math.min(skip, length);
      return 3 * SPAN + bytesKey(docs, value + 4 + from, Math.min(KEY_BYTES, length - from));
    }
    case T.object:
      return 4 * SPAN + bytesKey(docs, value + 4, Math.min(KEY_BYTES, docLength(docs, value) - 4));
    case T.binary:
      return 6 * SPAN + bytesKey(docs, value + 5, Math.min(KEY_BYTES, readInt32(docs, value)));
    case T.objectId:
      return 7 * SPAN + bytesKey(docs, value, KEY_BYTES);
    case T.bool:
      return 8 * SPAN + docs[value]!;
    case T.date:
      return 9 * SPAN + squeeze(Number(docs.readBigInt64LE(value)));
    case T.timestamp:
      return 10 * SPAN + docs.readUInt32LE(value + 4);
    default:
      return type * SPAN;
  }
}

function isIdFirst(docs: Buffer, at: number): boolean {
  return docs[at + 5] === 0x5f && docs[at + 6] === 0x69 && docs[at + 7] === 0x64 && docs[at + 8] === 0;
}

/** A number of any size between 0 and SPAN, larger ones later. */
function squeeze(value: number): number {
  if (Number.isNaN(value)) return 0;
  const bounded = Math.max(-(2 ** 46), Math.min(2 ** 46, value));
  return bounded + SPAN / 2;
}

function bytesKey(buf: Buffer, start: number, length: number): number {
  let key = 0;
  for (let i = 0; i < KEY_BYTES; i += 1) key = key * 256 + (i < length ? buf[start + i]! : 0);
  return key;
}

/** How many bytes all text `_id`s of a batch begin with alike: they tell nothing apart. */
function commonPrefix(docs: Buffer, count: number): number {
  let first = -1;
  let common = 0;
  for (let i = 0, at = 0; i < count; i += 1, at += docLength(docs, at)) {
    if (docs[at + 4] !== T.string || !isIdFirst(docs, at)) return 0;
    const text = at + 13;
    const length = readInt32(docs, at + 9) - 1;
    if (first < 0) {
      first = text;
      common = length;
      continue;
    }
    let same = 0;
    const most = Math.min(common, length);
    while (same < most && docs[first + same] === docs[text + same]) same += 1;
    common = same;
    if (common === 0) return 0;
  }
  return common;
}
