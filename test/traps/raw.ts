/** BSON by the byte, for values that no driver writes: `doc(int32('a', 1), element(0x06, 'u'))`. */
import type { Binary, Document } from 'bson';
import type { Collection, MongoClient } from 'mongodb';

/** One element: type, name, value. */
export function element(type: number, name: string, value: Buffer = Buffer.alloc(0)): Buffer {
  return Buffer.concat([Buffer.from([type]), Buffer.from(`${name}\0`), value]);
}

export function doc(...elements: readonly Buffer[]): Buffer {
  const body = Buffer.concat(elements);
  return Buffer.concat([le32(body.length + 5), body, Buffer.from([0])]);
}

export const int32 = (name: string, value: number): Buffer => element(0x10, name, le32(value));

export function int64(name: string, value: bigint): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeBigInt64LE(value);
  return element(0x12, name, bytes);
}

export function double(name: string, value: number | Buffer): Buffer {
  if (Buffer.isBuffer(value)) return element(0x01, name, value);
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleLE(value);
  return element(0x01, name, bytes);
}

/** Decimal128 by its two halves: coefficient, then sign and exponent. */
export function decimal(name: string, low: bigint, high: bigint): Buffer {
  const bytes = Buffer.alloc(16);
  bytes.writeBigUInt64LE(low, 0);
  bytes.writeBigUInt64LE(high, 8);
  return element(0x13, name, bytes);
}

export const string = (name: string, value: string | Buffer, type = 0x02): Buffer => element(type, name, text(value));

export function text(value: string | Buffer): Buffer {
  const bytes = Buffer.from(value);
  return Buffer.concat([le32(bytes.length + 1), bytes, Buffer.from([0])]);
}

export function le32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeInt32LE(value);
  return bytes;
}

/** The stored bytes of documents, as the server gives them; in `_id` order. */
export async function rawDocuments(collection: Collection, filter: Document = {}): Promise<Buffer[]> {
  const docs = await collection.find(filter, { raw: true }).sort({ _id: 1 }).toArray();
  return docs.map((bytes) => Buffer.from(bytes as unknown as Uint8Array));
}

/** The server's own name for a collection. */
export async function uuidOf(client: MongoClient, db: string, name: string): Promise<Binary> {
  const [info] = await client.db(db).listCollections({ name }, { nameOnly: false }).toArray();
  const uuid = (info as { info?: { uuid?: Binary } } | undefined)?.info?.uuid;
  if (uuid === undefined) throw new Error(`${db}.${name} does not exist`);
  return uuid;
}
