import { BsonBuilder } from './bson/builder.ts';
import { docLength, elementEnd, findElement, walk } from './bson/walk.ts';
import type { WireConnection } from './wire/connection.ts';
import { idOfStatement, refusal, sendWrite, type TargetName } from './write.ts';

/**
 * The server replaces a top-level `Timestamp(0, 0)` by the present time when a
 * document is inserted or replaced, even from an administrator. Only the
 * server's own diff stage stores it as it is, so documents that hold one get
 * it put back by that way.
 */
const EIGHT_ZEROS = Buffer.alloc(8);
const TIMESTAMP = 0x11;

/** Whether a document has a top-level zero timestamp. */
export function hasZeroTimestamp(doc: Buffer, start: number, end: number): boolean {
  // Within the document only: what follows it may be megabytes without a match.
  if (doc.subarray(start, end).indexOf(EIGHT_ZEROS) < 0) return false;
  return walk(doc, start, (type, _nameStart, _nameEnd, value) => type === TIMESTAMP && isZero(doc, value));
}

function isZero(buf: Buffer, at: number): boolean {
  return buf.readInt32LE(at) === 0 && buf.readInt32LE(at + 4) === 0;
}

/** Appends the update statement that puts the zero timestamps of a document back. */
export function appendZeroTimestampRepair(out: BsonBuilder, doc: Buffer, start: number): void {
  const id = findElement(doc, start, '_id');
  if (id < 0) return;
  out.begin();
  out
    .startDocument('q')
    .appendElement(doc[id] as number, '_id', doc, id + 5, elementEnd(doc, id))
    .end();
  out.startArray('u').startDocument(0).startDocument('$_internalApplyOplogUpdate').startDocument('oplogUpdate');
  out.appendInt32('$v', 2).startDocument('diff').startDocument('u');
  walk(doc, start, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    if (type === TIMESTAMP && isZero(doc, valueStart)) {
      out.appendElement(type, doc.subarray(nameStart, nameEnd), doc, valueStart, valueEnd);
    }
  });
  out.end().end().end().end().end().end();
  out.end();
}

/** Puts back the zero timestamps of documents just inserted. Costs one search of the batch when there are none. */
export async function repairZeroTimestamps(connection: WireConnection, name: TargetName, docs: Buffer): Promise<void> {
  let zeros = docs.indexOf(EIGHT_ZEROS);
  if (zeros < 0) return;
  const out = new BsonBuilder(1024);
  for (let at = 0; at < docs.length && zeros >= 0; ) {
    const end = at + docLength(docs, at);
    if (zeros < end) {
      if (hasZeroTimestamp(docs, at, end)) appendZeroTimestampRepair(out, docs, at);
      zeros = docs.indexOf(EIGHT_ZEROS, end);
    }
    at = end;
  }
  if (out.documents === 0) return;
  const statements = out.finish();
  const outcome = await sendWrite(connection, 'update', name, statements, { ordered: false, majority: true });
  const error = outcome.errors[0];
  if (error) throw refusal(error, name, idOfStatement(statements, error.index));
}
