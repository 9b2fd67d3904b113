import { createHash } from 'node:crypto';
import { deserialize, EJSON } from 'bson';
import type { MongoClient } from 'mongodb';
import { elementOf, fingerprint } from './raw-bson.ts';

export interface DocumentsVerdict {
  readonly documents: number;
  readonly bytes: number;
}

export interface Place {
  readonly client: MongoClient;
  readonly db: string;
  readonly collection: string;
}

/** Documents that may wait for their counterpart; beyond it the two sides have nothing in common. */
const MOST_UNPAIRED = 20_000;

/**
 * Streams both sides in the server's `_id` order and pairs documents by the bytes of their `_id`.
 * No order of BSON values of our own is needed: equal sides are pairs at every step, and what has no
 * counterpart waits for it in a map, so memory grows with the differences only.
 */
export async function compareById(
  source: Place,
  target: Place,
  report: (line: string) => void,
): Promise<DocumentsVerdict> {
  const left = read(source, 'id');
  const right = read(target, 'id');
  const unpairedLeft = new Map<string, Buffer>();
  const unpairedRight = new Map<string, Buffer>();
  const settle = (mine: Map<string, Buffer>, others: Map<string, Buffer>, doc: Buffer): void => {
    const key = fingerprint(elementOf(doc, '_id'));
    const other = others.get(key);
    if (other === undefined) {
      // Two documents of one `_id` would be a corrupt index; the second must not hide the first.
      mine.set(mine.has(key) ? `${key}#${mine.size}` : key, doc);
      return;
    }
    others.delete(key);
    const [from, to] = mine === unpairedLeft ? [doc, other] : [other, doc];
    if (!from.equals(to)) report(`document ${describe(doc)} differs: ${whatDiffers(from, to)}`);
  };

  let documents = 0;
  let bytes = 0;
  let outOfStep = false;
  try {
    for (;;) {
      const [one, two] = await Promise.all([left.next(), right.next()]);
      if (one.done === true && two.done === true) break;
      if (one.done !== true) {
        documents += 1;
        bytes += one.value.length;
      }
      if (one.done !== true && two.done !== true && !outOfStep && one.value.equals(two.value)) continue;
      if (one.done !== true) settle(unpairedLeft, unpairedRight, Buffer.from(one.value));
      if (two.done !== true) settle(unpairedRight, unpairedLeft, Buffer.from(two.value));
      outOfStep = unpairedLeft.size + unpairedRight.size > 0;
      if (unpairedLeft.size + unpairedRight.size > MOST_UNPAIRED) {
        report(`more than ${MOST_UNPAIRED} documents without counterpart; gave up`);
        break;
      }
    }
  } finally {
    await Promise.all([left.return(undefined), right.return(undefined)]);
  }
  for (const doc of unpairedLeft.values()) report(`document ${describe(doc)} is missing on the target`);
  for (const doc of unpairedRight.values()) report(`document ${describe(doc)} is only on the target`);
  return { documents, bytes };
}

/** A capped collection is its order: position by position. */
export async function compareInOrder(
  source: Place,
  target: Place,
  report: (line: string) => void,
): Promise<DocumentsVerdict> {
  const left = read(source, 'natural');
  const right = read(target, 'natural');
  let documents = 0;
  let bytes = 0;
  try {
    for (let at = 0; ; at += 1) {
      const [one, two] = await Promise.all([left.next(), right.next()]);
      if (one.done === true && two.done === true) break;
      if (one.done !== true) {
        documents += 1;
        bytes += one.value.length;
      }
      if (one.done === true || two.done === true) {
        let more = 1;
        const longer = one.done === true ? right : left;
        while ((await longer.next()).done !== true) more += 1;
        report(
          `capped: ${one.done === true ? 'the target' : 'the source'} has ${more} more documents after position ${at}`,
        );
        if (one.done !== true) documents += more - 1;
        break;
      }
      if (!one.value.equals(two.value)) {
        report(`capped: at position ${at} the source has ${describe(one.value)}, the target ${describe(two.value)}`);
      }
    }
  } finally {
    await Promise.all([left.return(undefined), right.return(undefined)]);
  }
  return { documents, bytes };
}

async function* read(place: Place, order: 'id' | 'natural'): AsyncGenerator<Buffer, undefined> {
  const collection = place.client.db(place.db).collection(place.collection);
  // The simple collation would make the server sort in memory; the collection's own is its index's order.
  const found = collection.find({}, { raw: true, batchSize: 1000, noCursorTimeout: false, allowDiskUse: true });
  const cursor = order === 'id' ? found.sort({ _id: 1 }) : found.hint({ $natural: 1 });
  try {
    for await (const doc of cursor) yield asBuffer(doc as unknown as Uint8Array);
  } finally {
    await cursor.close().catch(() => {});
  }
  return undefined;
}

function asBuffer(bytes: Uint8Array): Buffer {
  return Buffer.isBuffer(bytes) ? bytes : Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
}

/** The `_id` as canonical extended JSON where it can be decoded, else its bytes. */
function describe(doc: Buffer): string {
  try {
    const { _id } = deserialize(doc, { promoteValues: false, promoteLongs: false, validation: { utf8: false } });
    return EJSON.stringify({ _id }, { relaxed: false }).slice(0, 200);
  } catch {
    return `{_id: ${fingerprint(elementOf(doc, '_id')).slice(0, 100)}}`;
  }
}

function whatDiffers(from: Buffer, to: Buffer): string {
  const at = from.findIndex((byte, i) => byte !== to[i]);
  const digest = (doc: Buffer): string => createHash('sha256').update(doc).digest('hex').slice(0, 12);
  const around = (doc: Buffer): string =>
    doc
      .subarray(Math.max(0, at - 24), at + 24)
      .toString('latin1')
      .replace(/[^ -~]/g, '.');
  return (
    `${from.length} and ${to.length} bytes, first at byte ${at < 0 ? from.length : at} ` +
    `(${digest(from)}, ${digest(to)}; «${around(from)}» and «${around(to)}»)`
  );
}
