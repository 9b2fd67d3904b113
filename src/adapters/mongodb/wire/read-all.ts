import { docLength } from '../bson/walk.ts';
import { commandDoc, type WireConnection } from './connection.ts';
import { sliceBatch } from './cursor-batch.ts';

/**
 * Runs a cursor command to its end and gives every document, raw, each in
 * memory of its own. For listings and samples, not for data.
 */
export async function readAll(
  connection: WireConnection,
  command: Buffer,
  db: string,
  collection: string,
): Promise<Buffer[]> {
  const docs: Buffer[] = [];
  let reply = await connection.request(command);
  for (;;) {
    let cursorId: bigint;
    let name = collection;
    try {
      const batch = sliceBatch(reply.body);
      cursorId = batch.cursorId;
      name = batch.collection ?? collection;
      for (let at = 0; at < batch.docs.length; ) {
        const length = docLength(batch.docs, at);
        docs.push(Buffer.from(batch.docs.subarray(at, at + length)));
        at += length;
      }
    } finally {
      reply.release();
    }
    if (cursorId === 0n) return docs;
    reply = await connection.request(commandDoc({ getMore: cursorId, collection: name, $db: db }));
  }
}
