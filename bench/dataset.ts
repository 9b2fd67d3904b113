/**
 * Data sets for the benchmarks, made from a seed and loaded through the wire
 * lane, so that loading takes seconds.
 */
import { ObjectId, serialize } from 'bson';
import type { Cluster } from '../src/adapters/mongodb/cluster.ts';
import { insertDocuments } from '../src/adapters/mongodb/write.ts';

export interface DatasetOptions {
  readonly documents: number;
  /** Size of one document in BSON bytes, about. */
  readonly bytes: number;
  readonly id: 'string' | 'objectid';
}

const WORDS = 'amber basalt cedar delta ember fjord garnet harbor indigo juniper kelp lagoon maple nectar onyx pebble'.split(' ');

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

/** A random-looking string `_id`, as applications make them. */
function stringId(random: () => number): string {
  let id = '';
  for (let i = 0; i < 3; i += 1) id += Math.floor(random() * 2 ** 32).toString(36).padStart(7, '0');
  return id;
}

/** One document. */
export function makeDocument(i: number, random: () => number, options: DatasetOptions): Record<string, unknown> {
  const tags = [0, 1, 2].map(() => WORDS[Math.floor(random() * WORDS.length)]);
  const doc: Record<string, unknown> = {
    _id: options.id === 'string' ? stringId(random) : new ObjectId(),
    n: i,
    customer: Math.floor(random() * 50_000),
    tags,
    at: new Date(1_700_000_000_000 + i * 1000),
    total: Math.round(random() * 1e6) / 100,
  };
  const rest = options.bytes - 160;
  if (rest > 0) {
    let text = '';
    while (text.length < rest) text += Math.floor(random() * 2 ** 32).toString(16);
    doc['body'] = text.slice(0, rest);
  }
  return doc;
}

/** Loads the data set and, first, its two secondary indexes (one multikey). */
export async function loadDataset(cluster: Cluster, db: string, collection: string, options: DatasetOptions): Promise<void> {
  const random = randomOf(7);
  await cluster.db(db).createCollection(collection);
  const connection = await cluster.connectPrimary();
  let parts: Uint8Array[] = [];
  let bytes = 0;
  for (let i = 0; i < options.documents; i += 1) {
    const doc = serialize(makeDocument(i, random, options));
    parts.push(doc);
    bytes += doc.length;
    if (bytes > 12_000_000 || parts.length >= 50_000 || i === options.documents - 1) {
      await insertDocuments(connection, { db, collection }, Buffer.concat(parts), parts.length, { ordered: false, majority: false });
      parts = [];
      bytes = 0;
    }
  }
  connection.close();
  await cluster.db(db).collection(collection).createIndexes([
    { key: { customer: 1, at: 1 }, name: 'customer_at' },
    { key: { tags: 1 }, name: 'tags' },
  ]);
}
