import type { AbstractCursor } from 'mongodb';
import { compareValues } from '../bson/compare.ts';
import { BSON_TYPE as T } from '../bson/types.ts';
import { rawDocuments } from './documents.ts';
import { type Place, valueAt } from './paths.ts';

const NO_VALUE: Place = { type: T.null, buf: Buffer.alloc(0), start: 0, end: 0 };

/** Documents of one collection in the order of their keys, read by the batch. */
export class KeyedStream {
  readonly #cursor: AbstractCursor<unknown>;
  readonly #segments: readonly string[];
  #batch: readonly Buffer[] = [];
  #at = 0;
  #key: Place | undefined;

  constructor(cursor: AbstractCursor<unknown>, keyPath: string) {
    this.#cursor = cursor;
    this.#segments = keyPath.split('.');
  }

  /** Key of the document at hand; undefined at the end. After `fill`. */
  get key(): Place | undefined {
    return this.#key;
  }

  get document(): Buffer | undefined {
    return this.#batch[this.#at];
  }

  /** Whether `advance` has to be followed by `fill`. */
  get isSpent(): boolean {
    return this.#at >= this.#batch.length;
  }

  advance(): void {
    this.#at += 1;
    this.#readKey();
  }

  /** Reads on when the batch is spent. */
  async fill(): Promise<void> {
    while (this.isSpent) {
      if (!(await this.#cursor.hasNext())) return;
      this.#batch = rawDocuments(this.#cursor.readBufferedDocuments());
      this.#at = 0;
      this.#readKey();
    }
  }

  close(): Promise<void> {
    return this.#cursor.close();
  }

  #readKey(): void {
    const raw = this.#batch[this.#at];
    const place = raw === undefined ? undefined : valueAt(raw, this.#segments);
    this.#key = raw === undefined ? undefined : place === undefined || place === 'broken' ? NO_VALUE : place;
  }
}

export function compareKeys(a: Place, b: Place): number {
  return compareValues(a.type, a.buf, a.start, a.end, b.type, b.buf, b.start, b.end);
}
