/**
 * Turns the reply of a cursor into documents back to back, the form in which
 * an insert takes them, without copying them out of the reply.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import { BSON_TYPE } from '../bson/types.ts';
import { docLength, findElement, readInt32, readTimestamp, valueOffset, walk } from '../bson/walk.ts';
import { fromServerReply } from '../errors.ts';
import { parseReply } from './command.ts';

/** The documents of one reply. All views are of the reply's memory, and end with its release. */
export class CursorBatch {
  /** 0 when the cursor has no more. */
  readonly cursorId: bigint;
  /** The documents, back to back. */
  readonly docs: Buffer;
  readonly count: number;
  /** Offsets in `docs` of the first and the last document; -1 when there is none. */
  readonly first: number;
  readonly last: number;
  readonly #body: Buffer;
  readonly #cursor: number;

  constructor(body: Buffer, cursor: number, cursorId: bigint, docs: Buffer, count: number, last: number) {
    this.#body = body;
    this.#cursor = cursor;
    this.cursorId = cursorId;
    this.docs = docs;
    this.count = count;
    this.first = count === 0 ? -1 : 0;
    this.last = last;
  }

  /**
   * The collection the cursor is on, as the server calls it now. One that was opened by UUID goes by the name the
   * collection had then, which need not be the one it was planned with.
   */
  get collection(): string | undefined {
    const element = findElement(this.#body, this.#cursor, 'ns');
    if (element < 0 || this.#body[element] !== BSON_TYPE.string) return undefined;
    const value = valueOffset(this.#body, element);
    const ns = this.#body.toString('utf8', value + 4, value + 4 + readInt32(this.#body, value) - 1);
    return ns.slice(ns.indexOf('.') + 1);
  }

  /** The logical time of the read, as unsigned 64 bits. */
  operationTime(): bigint | undefined {
    const element = findElement(this.#body, 0, 'operationTime');
    if (element < 0 || this.#body[element] !== BSON_TYPE.timestamp) return undefined;
    return readTimestamp(this.#body, valueOffset(this.#body, element));
  }

  /** The document `$clusterTime`, to be sent with the next request. */
  clusterTime(): Buffer | undefined {
    return documentAt(this.#body, 0, '$clusterTime');
  }

  /** Where a change stream stands after this batch, also when it is empty. */
  postBatchResumeToken(): Buffer | undefined {
    return documentAt(this.#body, this.#cursor, 'postBatchResumeToken');
  }
}

function documentAt(body: Buffer, docStart: number, name: string): Buffer | undefined {
  const element = findElement(body, docStart, name);
  if (element < 0 || body[element] !== BSON_TYPE.object) return undefined;
  const value = valueOffset(body, element);
  return body.subarray(value, value + docLength(body, value));
}

/**
 * Takes the reply of find, getMore or aggregate. The documents are moved
 * together in place, over the names of the array's elements, so a reply can be
 * sliced only once. Throws the server's error for `ok: 0`.
 */
export function sliceBatch(body: Buffer, where = 'read from a cursor'): CursorBatch {
  const element = findElement(body, 0, 'cursor');
  if (element < 0 || body[element] !== BSON_TYPE.object) throw fromServerReply(parseReply(body), where);
  const cursor = valueOffset(body, element);

  let batch = -1;
  let cursorId: bigint | undefined;
  walk(body, cursor, (type, nameStart, nameEnd, valueStart) => {
    if (type === BSON_TYPE.int64 && isName(body, nameStart, nameEnd, ID)) cursorId = body.readBigInt64LE(valueStart);
    if (type !== BSON_TYPE.array) return;
    if (isName(body, nameStart, nameEnd, NEXT_BATCH) || isName(body, nameStart, nameEnd, FIRST_BATCH))
      batch = valueStart;
  });
  if (batch < 0 || cursorId === undefined)
    throw new GodwitError('GW9001', `${where}: a cursor's reply without its batch`);

  const start = batch + 4;
  const end = batch + docLength(body, batch) - 1;
  let count = 0;
  let from = start;
  let to = start;
  let last = start;
  while (from < end) {
    if (body[from] !== BSON_TYPE.object) throw new GodwitError('GW9001', `${where}: a batch holds what is no document`);
    // Over the digits of the element's name.
    do from++;
    while (from < end && body[from] !== 0);
    from++;
    const next = from + readInt32(body, from);
    if (next - from < 5 || next > end) throw new GodwitError('GW9001', `${where}: a document runs past its batch`);
    last = to;
    // About 40 ns whatever the size; a loop is slower from 20 bytes on, and few documents are smaller.
    body.copyWithin(to, from, next);
    to += next - from;
    from = next;
    count++;
  }
  const docs = body.subarray(start, to);
  return new CursorBatch(body, cursor, cursorId, docs, count, count === 0 ? -1 : last - start);
}

const ID = Buffer.from('id');
const NEXT_BATCH = Buffer.from('nextBatch');
const FIRST_BATCH = Buffer.from('firstBatch');

function isName(buf: Buffer, start: number, end: number, name: Buffer): boolean {
  return end - start === name.length && buf.compare(name, 0, name.length, start, end) === 0;
}
