import { BsonBuilder } from './bson/builder.ts';
import { elementEnd, findElement, valueOffset } from './bson/walk.ts';
import type { CollectionSpec } from './catalog.ts';
import type { Cluster } from './cluster.ts';
import { commandDoc, type WireConnection } from './wire/connection.ts';
import { readAll } from './wire/read-all.ts';

/**
 * Bounds of a chunk: a raw document `{min?: {_id}, max?: {_id}}` for a range of
 * the `_id` index, or `{natural: true}` for a collection whose order is its
 * meaning. `min`/`max` index bounds, unlike `$gte`/`$lt`, see every type.
 */
export interface PlannedChunk {
  readonly unit: string;
  readonly bounds: Buffer;
  readonly docs: number;
  readonly bytes: number;
}

/** Samples taken for each boundary, so that chunks come out even. */
const SAMPLES_PER_CHUNK = 20;
const MOST_CHUNKS = 4_000;

/** Cuts a collection into chunks of about `chunkBytes`. The unit of a chunk is the collection's UUID. */
export async function planChunks(
  cluster: Cluster,
  connection: WireConnection,
  spec: CollectionSpec,
  chunkBytes: number,
): Promise<PlannedChunk[]> {
  const { docs, bytes } = await sizeOf(cluster, spec);
  const whole = (bounds: Buffer): PlannedChunk[] => [{ unit: spec.uuid, bounds, docs, bytes }];
  if (spec.capped) return whole(naturalBounds());
  const parts = Math.min(MOST_CHUNKS, Math.ceil(bytes / chunkBytes));
  if (parts <= 1) return whole(rangeBounds(undefined, undefined));

  const cuts = await sampleCuts(connection, spec, parts);
  const edges: (Buffer | undefined)[] = [undefined, ...cuts, undefined];
  const share = edges.length - 1;
  const ranges = edges.slice(0, -1).map((min, i) => ({
    unit: spec.uuid,
    bounds: rangeBounds(min, edges[i + 1]),
    docs: Math.round(docs / share),
    bytes: Math.round(bytes / share),
  }));
  // A lower bound without an upper one ends before MaxKey: the one document that may have it gets a chunk of its own.
  return [...ranges, { unit: spec.uuid, bounds: maxKeyBounds(), docs: 0, bytes: 0 }];
}

/** One chunk that is the whole collection, in the order in which it lies on disk. */
export async function planScan(cluster: Cluster, spec: CollectionSpec): Promise<PlannedChunk> {
  const { docs, bytes } = await sizeOf(cluster, spec);
  const bounds = new BsonBuilder(64).begin().appendBool('natural', true).appendBool('scan', true).end();
  return { unit: spec.uuid, bounds: Buffer.from(bounds.finish()), docs, bytes };
}

/** Documents and bytes as the server counts them; zero for a collection that is gone. */
export async function sizeOf(
  cluster: Cluster,
  spec: { db: string; name: string },
): Promise<{ docs: number; bytes: number }> {
  const stats = await cluster.command(spec.db, { collStats: spec.name }).catch(() => ({}) as Record<string, unknown>);
  return { docs: Number(stats['count'] ?? 0), bytes: Number(stats['size'] ?? 0) };
}

/** Random `_id`s, sorted by the server itself, evenly picked: raw `{_id: …}` documents. */
async function sampleCuts(connection: WireConnection, spec: CollectionSpec, parts: number): Promise<Buffer[]> {
  // By name: aggregate takes no UUID. Should the collection be renamed in between, the cuts come out uneven, not wrong.
  const command = commandDoc({
    aggregate: spec.name,
    pipeline: [{ $sample: { size: parts * SAMPLES_PER_CHUNK } }, { $project: { _id: 1 } }, { $sort: { _id: 1 } }],
    cursor: {},
    allowDiskUse: true,
    $readPreference: { mode: 'primaryPreferred' },
    $db: spec.db,
  });
  const samples = await readAll(connection, command, spec.db, spec.name);
  const cuts: Buffer[] = [];
  for (let i = SAMPLES_PER_CHUNK; i < samples.length; i += SAMPLES_PER_CHUNK) {
    const cut = samples[i] as Buffer;
    if (cuts.length === 0 || !cut.equals(cuts.at(-1) as Buffer)) cuts.push(cut);
  }
  return cuts;
}

function rangeBounds(min: Buffer | undefined, max: Buffer | undefined): Buffer {
  const out = new BsonBuilder(256).begin();
  if (min) out.appendDocument('min', min);
  if (max) out.appendDocument('max', max);
  return Buffer.from(out.end().finish());
}

function maxKeyBounds(): Buffer {
  return Buffer.from(new BsonBuilder(64).begin().appendBool('maxKey', true).end().finish());
}

function naturalBounds(): Buffer {
  return Buffer.from(new BsonBuilder(64).begin().appendBool('natural', true).end().finish());
}

const MAX_KEY = 0x7f;
const NO_BYTES = Buffer.alloc(0);

export interface ReadOptions {
  /** Raw read concern document. */
  readonly readConcern: Buffer;
  readonly batchSize: number;
}

/** The `find` that reads a chunk, by UUID at the source or by name at the target. */
export function findChunk(
  bounds: Buffer,
  collection: { db: string; name: string; uuid?: string },
  options: ReadOptions,
): Buffer {
  const out = new BsonBuilder(1024).begin();
  if (collection.uuid === undefined) out.appendString('find', collection.name);
  else out.appendElement(0x05, 'find', uuidBytes(collection.uuid));
  if (findElement(bounds, 0, 'natural') < 0) {
    const min = subDoc(bounds, 'min');
    const max = subDoc(bounds, 'max');
    if (findElement(bounds, 0, 'maxKey') >= 0) {
      out.startDocument('filter').appendElement(MAX_KEY, '_id', NO_BYTES).end();
    }
    out.startDocument('hint').appendInt32('_id', 1).end();
    if (min) out.appendDocument('min', min);
    if (max) out.appendDocument('max', max);
    // Without a bound the hint alone would be a filterless index scan in _id order, which is what is wanted.
  } else {
    out.startDocument('hint').appendInt32('$natural', 1).end();
  }
  out.appendInt32('batchSize', options.batchSize);
  out.appendBool('noCursorTimeout', false);
  out.appendDocument('readConcern', options.readConcern);
  out.startDocument('$readPreference').appendString('mode', 'primaryPreferred').end();
  out.appendString('$db', collection.db);
  return Buffer.from(out.end().finish());
}

/** Whether a chunk is read in natural order. */
export function isNatural(bounds: Buffer): boolean {
  return findElement(bounds, 0, 'natural') >= 0;
}

/** Whether a chunk is read in the order on disk, which means nothing. */
export function isScan(bounds: Buffer): boolean {
  return findElement(bounds, 0, 'scan') >= 0;
}

function subDoc(doc: Buffer, name: string): Buffer | undefined {
  const at = findElement(doc, 0, name);
  return at < 0 ? undefined : doc.subarray(valueOffset(doc, at), elementEnd(doc, at));
}

/** A UUID as the bytes of a BSON binary value (length, subtype 4, bytes). */
export function uuidBytes(uuid: string): Buffer {
  const out = Buffer.alloc(21);
  out.writeInt32LE(16, 0);
  out[4] = 4;
  out.write(uuid, 5, 'hex');
  return out;
}
