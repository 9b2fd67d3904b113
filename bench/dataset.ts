/**
 * The data that benchmarks move: made from a seed as raw BSON, so that making
 * it is much faster than loading it, and the same on every machine.
 */
import type { IndexDescription } from 'mongodb';
import { BsonBuilder } from '../src/adapters/mongodb/bson/builder.ts';
import { BSON_TYPE } from '../src/adapters/mongodb/bson/types.ts';
import type { Cluster } from '../src/adapters/mongodb/cluster.ts';
import { insertDocuments } from '../src/adapters/mongodb/write.ts';

export interface DatasetOptions {
  readonly documents: number;
  /** Size of one document in BSON bytes; never less than what its small fields need (about 160). */
  readonly bytes: number;
  readonly id: 'string' | 'objectid';
  /** Default 7. */
  readonly seed?: number;
}

/** Documents back to back, as the document sequence of one insert. The memory is used again for the next one. */
export interface Batch {
  readonly docs: Buffer;
  readonly count: number;
}

/** The two secondary indexes of the data set; `tags` is an array, so its index is multikey. */
export const INDEXES: IndexDescription[] = [
  { key: { customer: 1, at: 1 }, name: 'customer_at' },
  { key: { tags: 1 }, name: 'tags' },
];

export const WORDS =
  'amber basalt cedar delta ember fjord garnet harbor indigo juniper kelp lagoon maple nectar onyx pebble'.split(' ');

export const CUSTOMERS = 50_000;
const FIRST_DAY_MS = 1_700_000_000_000;
const BATCH_BYTES = 12_000_000;
const MOST_DOCUMENTS = 90_000;
const LOADERS = 2;
/** More text than the largest document takes, so that nothing repeats within one document. */
const POOL_BYTES = 4 * 1024 * 1024;
/** More than the small fields of a document take. */
const LEAST_BYTES = 256;

/** A small fast generator (mulberry32): the same seed gives the same data everywhere. */
export function randomOf(seed: number): () => number {
  let a = seed >>> 0;
  return () => {
    a = (a + 0x6d2b79f5) >>> 0;
    let t = a;
    t = Math.imul(t ^ (t >>> 15), t | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 4294967296;
  };
}

/** A random-looking string `_id` of 21 characters, as applications make them. */
export function stringId(random: () => number): string {
  let id = '';
  for (let i = 0; i < 3; i += 1)
    id += Math.floor(random() * 2 ** 32)
      .toString(36)
      .padStart(7, '0');
  return id;
}

/** Hexadecimal text: compresses to about half, as much text of businesses does. */
export function textPool(random: () => number): Buffer {
  const pool = Buffer.allocUnsafe(POOL_BYTES);
  for (let at = 0; at < POOL_BYTES; at += 8) {
    pool.write(
      Math.floor(random() * 2 ** 32)
        .toString(16)
        .padStart(8, '0'),
      at,
      'latin1',
    );
  }
  return pool;
}

const ID_LENGTH = 21;
/** Where the fields of fixed size lie, counted from the end of `_id`. */
const FIXED = { n: 3, customer: 7 + 10, at: 21 + 4, total: 33 + 7, end: 48 } as const;

/** Writes documents one after another: a template with its numbers filled in, then tags, then text. */
export class DocumentMaker {
  readonly #random: () => number;
  readonly #bytes: number;
  readonly #pool: Buffer;
  readonly #template: Buffer;
  readonly #withText: boolean;
  /** End of `_id` in the template. */
  readonly #fixed: number;
  readonly #tags = new Map<number, Buffer>();
  #made = 0;

  constructor(options: DatasetOptions) {
    this.#bytes = options.bytes;
    this.#random = randomOf(options.seed ?? 7);
    this.#pool = textPool(this.#random);
    this.#withText = options.id === 'string';
    const head = new BsonBuilder(256).begin();
    if (this.#withText) head.appendString('_id', '0'.repeat(ID_LENGTH));
    else head.appendElement(BSON_TYPE.objectId, '_id', Buffer.from('000000000badc0ffee000000', 'hex'));
    this.#fixed = head.length;
    head.appendInt32('n', 0).appendInt32('customer', 0).appendElement(BSON_TYPE.date, 'at', Buffer.alloc(8));
    this.#template = Buffer.from(head.appendDouble('total', 0).end().finish().subarray(0, -1));
  }

  /** Writes one document at `at`, where there must be room for it; gives its end. */
  write(out: Buffer, at: number): number {
    const random = this.#random;
    this.#template.copy(out, at);
    if (this.#withText) this.#writeStringId(out, at + this.#fixed - ID_LENGTH - 1);
    else this.#writeObjectId(out, at + this.#fixed - 12);
    const fixed = at + this.#fixed;
    out.writeInt32LE(this.#made, fixed + FIXED.n);
    out.writeInt32LE(Math.floor(random() * CUSTOMERS), fixed + FIXED.customer);
    const ms = FIRST_DAY_MS + this.#made * 1000;
    out.writeUInt32LE(ms >>> 0, fixed + FIXED.at);
    out.writeUInt32LE(Math.floor(ms / 2 ** 32), fixed + FIXED.at + 4);
    out.writeDoubleLE(Math.round(random() * 1e6) / 100, fixed + FIXED.total);
    let end = fixed + FIXED.end;
    const tags = this.#someTags();
    tags.copy(out, end);
    end = this.#writeBody(out, end + tags.length, this.#bytes - (end + tags.length - at) - 12);
    out[end++] = 0;
    out.writeInt32LE(end - at, at);
    this.#made += 1;
    return end;
  }

  #writeBody(out: Buffer, at: number, length: number): number {
    if (length <= 0) return at;
    at += out.write('\x02body\0', at, 'latin1');
    at = out.writeInt32LE(length + 1, at);
    const from = Math.floor(this.#random() * (POOL_BYTES - length));
    at += this.#pool.copy(out, at, from, from + length);
    out[at] = 0;
    return at + 1;
  }

  #writeStringId(out: Buffer, at: number): void {
    for (let part = 0; part < 3; part += 1) {
      let value = Math.floor(this.#random() * 2 ** 32);
      for (let i = 6; i >= 0; i -= 1) {
        const digit = value % 36;
        value = (value - digit) / 36;
        out[at + part * 7 + i] = digit < 10 ? 48 + digit : 87 + digit;
      }
    }
  }

  /** Grows with time, as real ones do: seconds in front, a counter at the end. */
  #writeObjectId(out: Buffer, at: number): void {
    out.writeUInt32BE(FIRST_DAY_MS / 1000 + Math.floor(this.#made / 1000), at);
    out.writeUIntBE(this.#made & 0xffffff, at + 9, 3);
  }

  /** The element `tags`: three words, of which there are few combinations. */
  #someTags(): Buffer {
    const [a, b, c] = [0, 1, 2].map(() => Math.floor(this.#random() * WORDS.length)) as [number, number, number];
    const known = this.#tags.get((a << 8) | (b << 4) | c);
    if (known) return known;
    const words = new BsonBuilder(128).begin().startArray('tags');
    [a, b, c].forEach((word, i) => {
      words.appendString(i, WORDS[word] as string);
    });
    const made = Buffer.from(words.end().end().finish().subarray(4, -1));
    this.#tags.set((a << 8) | (b << 4) | c, made);
    return made;
  }
}

/** The whole data set, batch by batch; each batch is valid until `take(batch)` was resolved. */
export async function makeBatches(
  options: DatasetOptions,
  lanes: readonly ((batch: Batch) => Promise<void>)[],
): Promise<void> {
  const maker = new DocumentMaker(options);
  const most = Math.max(options.bytes, LEAST_BYTES);
  let left = options.documents;
  const work = async (take: (batch: Batch) => Promise<void>): Promise<void> => {
    const memory = Buffer.allocUnsafeSlow(BATCH_BYTES + most);
    while (left > 0) {
      let [end, count] = [0, 0];
      for (; left > 0 && end < BATCH_BYTES && count < MOST_DOCUMENTS; left -= 1, count += 1)
        end = maker.write(memory, end);
      await take({ docs: memory.subarray(0, end), count });
    }
  };
  await Promise.all(lanes.map(work));
}

/**
 * Loads the data set, then builds its two secondary indexes. Natural order is
 * the order of making, so string `_id`s are random in it, as in grown data.
 */
export async function loadDataset(
  cluster: Cluster,
  db: string,
  collection: string,
  options: DatasetOptions,
): Promise<void> {
  await cluster.db(db).createCollection(collection);
  const connections = await Promise.all(Array.from({ length: LOADERS }, () => cluster.connectPrimary()));
  try {
    await makeBatches(
      options,
      connections.map(
        (connection) =>
          ({ docs, count }: Batch) =>
            insertDocuments(connection, { db, collection }, docs, count, { ordered: false, majority: false }),
      ),
    );
  } finally {
    for (const connection of connections) connection.close();
  }
  await cluster.db(db).collection(collection).createIndexes(INDEXES);
}
