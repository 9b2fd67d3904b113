/** What a dump holds, read without any code of Godwit's, and what a server holds, to be compared with it. */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { gunzipSync } from 'node:zlib';
import { deserialize } from 'bson';
import type { MongoClient } from 'mongodb';

/** Documents of a collection as hexadecimal text, sorted; capped ones in their order. */
export type Contents = Map<string, string[]>;

export function contentsOfDump(folder: string, ordered: ReadonlySet<string>): Contents {
  const contents: Contents = new Map();
  for (const file of readdirSync(folder).filter((name) => name.endsWith('.bson.gz'))) {
    const bytes = gunzipSync(readFileSync(join(folder, file)));
    const docs: string[] = [];
    for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at))
      docs.push(bytes.toString('hex', at, at + bytes.readInt32LE(at)));
    contents.set(file, ordered.has(file) ? docs : docs.sort());
  }
  return contents;
}

export async function contentsOfServer(
  client: MongoClient,
  db: string,
  files: readonly string[],
  ordered: ReadonlySet<string>,
  nameOf: (file: string) => string,
): Promise<Contents> {
  const contents: Contents = new Map();
  for (const file of files) {
    const docs: string[] = [];
    for await (const doc of client.db(db).collection(nameOf(file)).find({}, { raw: true }))
      docs.push((doc as unknown as Buffer).toString('hex'));
    contents.set(file, ordered.has(file) ? docs : docs.sort());
  }
  return contents;
}

const MAGIC_BYTES = 4;
const TERMINATOR = 0xffffffff;

/** How many collections lie open at once in an archive, which whoever restores it must have open, too. */
export function mostOpenAtOnce(archive: string): number {
  const bytes = readFileSync(archive);
  const open = new Set<string>();
  let most = 0;
  let at = MAGIC_BYTES;
  const skipToTerminator = () => {
    while (bytes.readUInt32LE(at) !== TERMINATOR) at += bytes.readInt32LE(at);
    at += 4;
  };
  skipToTerminator();
  while (at < bytes.length) {
    const { db, collection, EOF } = deserialize(bytes.subarray(at, at + bytes.readInt32LE(at)));
    at += bytes.readInt32LE(at);
    skipToTerminator();
    const name = `${db}.${collection}`;
    if (EOF) open.delete(name);
    else open.add(name);
    most = Math.max(most, open.size);
  }
  return most;
}
