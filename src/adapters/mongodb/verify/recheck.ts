import type { Drift } from '../../../kernel/ports.ts';
import { BsonBuilder } from '../bson/builder.ts';
import { elementEnd, findElement } from '../bson/walk.ts';
import { serverCodeOf } from '../errors.ts';
import type { Slice } from '../log/batch.ts';
import type { TrackedCollection } from '../log/tracked.ts';
import { uuidBytes } from '../partition.ts';
import type { WireConnection } from '../wire/connection.ts';
import { readAll } from '../wire/read-all.ts';
import { fullId } from '../write.ts';
import { digestOf } from './digest.ts';

const GONE = 26;
const KEYS_PER_FIND = 1_000;

/** A key as raw `{_id: …}` bytes. */
export type RawKey = Buffer;

/** Makes a raw `{_id: …}` document of a slice. */
export function rawKey(id: Slice, idType: number): RawKey {
  return Buffer.from(new BsonBuilder(64).begin().appendElement(idType, '_id', id.buf, id.start, id.end).end().finish());
}

/** The documents of some keys, by their raw key in hexadecimal. */
export async function readByKeys(
  connection: WireConnection,
  collection: { db: string; name: string; uuid?: string },
  keys: readonly RawKey[],
  readConcern: Buffer | undefined,
): Promise<Map<string, Buffer>> {
  const found = new Map<string, Buffer>();
  for (let i = 0; i < keys.length; i += KEYS_PER_FIND) {
    const find = new BsonBuilder(4096).begin();
    if (collection.uuid === undefined) find.appendString('find', collection.name);
    else find.appendElement(0x05, 'find', uuidBytes(collection.uuid));
    find.startDocument('filter').startDocument('_id').startArray('$in');
    keys
      .slice(i, i + KEYS_PER_FIND)
      .forEach((key, n) => void find.appendElement(key[4] as number, n, key, 9, key.length - 1));
    find.end().end().end();
    find.startDocument('hint').appendInt32('_id', 1).end();
    if (readConcern) find.appendDocument('readConcern', readConcern);
    find.startDocument('$readPreference').appendString('mode', 'primaryPreferred').end();
    find.appendString('$db', collection.db).end();
    let docs: Buffer[];
    try {
      docs = await readAll(connection, Buffer.from(find.finish()), collection.db, collection.name);
    } catch (error) {
      if (serverCodeOf(error) === GONE) return found;
      throw error;
    }
    for (const doc of docs) found.set(keyOfDocument(doc), doc);
  }
  return found;
}

function keyOfDocument(doc: Buffer): string {
  const at = findElement(doc, 0, '_id');
  return at < 0 ? '' : doc.toString('hex', at, elementEnd(doc, at));
}

/** Compares the documents of some keys on both sides, at standstill or as of given moments. */
export async function compareKeys(
  source: WireConnection,
  target: WireConnection,
  collection: Pick<TrackedCollection, 'uuid' | 'source' | 'target'>,
  keys: readonly RawKey[],
  concerns: { source?: Buffer; target?: Buffer } = {},
): Promise<Drift[]> {
  const unit = `${collection.source.db}.${collection.source.name}`;
  const here = { ...collection.source, uuid: collection.uuid };
  const there = { db: collection.target.db, name: collection.target.collection };
  const drift: Drift[] = [];
  for (let i = 0; i < keys.length; i += KEYS_PER_FIND) {
    const part = keys.slice(i, i + KEYS_PER_FIND);
    const left = await readByKeys(source, here, part, concerns.source);
    const right = await readByKeys(target, there, part, concerns.target);
    for (const [key, doc] of left) {
      const other = right.get(key);
      right.delete(key);
      if (other?.equals(doc)) continue;
      drift.push({
        unit,
        kind: other ? 'different' : 'missing',
        key: fullId(doc),
        sourceDigest: digestOf(doc),
        ...(other ? { targetDigest: digestOf(other) } : {}),
      });
    }
    for (const doc of right.values())
      drift.push({ unit, kind: 'extra', key: fullId(doc), targetDigest: digestOf(doc) });
  }
  return drift;
}
