import { type Document, deserialize, EJSON } from 'bson';
import { GodwitError } from '../../kernel/errors.ts';
import { BsonBuilder } from './bson/builder.ts';
import { docLength, elementEnd, findElement, valueOffset } from './bson/walk.ts';
import { fromServerReply } from './errors.ts';
import { commandDoc, type WireConnection } from './wire/connection.ts';

/** Servers refuse more statements in one command (`maxWriteBatchSize`). */
export const MOST_STATEMENTS = 100_000;

export const DUPLICATE_KEY = 11000;

export interface TargetName {
  readonly db: string;
  readonly collection: string;
}

export interface WriteError {
  /** Place of the statement in the command. */
  readonly index: number;
  readonly code: number;
  readonly message: string;
  /** Key pattern of the index in the way, for duplicates. */
  readonly keyPattern?: Document;
  /** The value in the way, for duplicates. */
  readonly keyValue?: Document;
}

export interface WriteOutcome {
  readonly errors: readonly WriteError[];
  /** Documents inserted, matched or deleted. */
  readonly n: number;
  /** The server's time of the last write, when it tells. */
  readonly operationTime?: { t: number; i: number };
}

const WRITE_MAJORITY = { w: 'majority', wtimeout: 60_000 };

/**
 * Sends one write command whose statements are a raw document sequence.
 * Errors of single statements are returned; errors of the command are thrown.
 */
export async function sendWrite(
  connection: WireConnection,
  kind: 'insert' | 'update' | 'delete',
  name: TargetName,
  statements: Buffer,
  options: { ordered: boolean; majority: boolean },
): Promise<WriteOutcome> {
  const body = commandDoc({
    [kind]: name.collection,
    ordered: options.ordered,
    // The source accepted these documents: the target has no say in whether they are valid.
    ...(kind === 'delete' ? {} : { bypassDocumentValidation: true }),
    writeConcern: options.majority ? WRITE_MAJORITY : { w: 1 },
    $db: name.db,
  });
  const identifier = kind === 'insert' ? 'documents' : kind === 'update' ? 'updates' : 'deletes';
  const reply = await connection.request(body, { identifier, bytes: statements });
  try {
    return readOutcome(reply.body, `${kind} into ${name.db}.${name.collection}`);
  } finally {
    reply.release();
  }
}

function readOutcome(body: Buffer, what: string): WriteOutcome {
  const doc = deserialize(body, { validation: { utf8: false } });
  if (doc['ok'] !== 1) throw fromServerReply(doc, what);
  const concern = doc['writeConcernError'] as Document | undefined;
  if (concern) throw fromServerReply({ ok: 0, ...concern }, `${what} (write concern)`);
  const errors = ((doc['writeErrors'] as Document[] | undefined) ?? []).map((e) => ({
    index: Number(e['index']),
    code: Number(e['code']),
    message: String(e['errmsg'] ?? ''),
    keyPattern: e['keyPattern'] as Document | undefined,
    keyValue: e['keyValue'] as Document | undefined,
  }));
  return { errors, n: Number(doc['n'] ?? 0), operationTime: doc['operationTime'] };
}

/** Whether a duplicate is of the `_id` index: the document itself is there already. */
export function isDuplicateId(error: WriteError): boolean {
  if (error.code !== DUPLICATE_KEY) return false;
  const fields = Object.keys(error.keyPattern ?? { _id: 1 });
  return fields.length === 1 && fields[0] === '_id';
}

/**
 * Inserts back-to-back documents. One that is there already is one that an
 * earlier attempt wrote. Everything else that a statement fails of is GW5001.
 */
export async function insertDocuments(
  connection: WireConnection,
  name: TargetName,
  docs: Buffer,
  count: number,
  options: { ordered: boolean; majority: boolean },
): Promise<void> {
  let start = 0;
  let left = count;
  // An empty batch still has to wait for the majority of what came before.
  if (count === 0) return options.majority ? waitForMajority(connection) : undefined;
  while (left > 0) {
    const take = Math.min(left, MOST_STATEMENTS);
    const end = left <= MOST_STATEMENTS ? docs.length : offsetAfter(docs, start, take);
    const part = docs.subarray(start, end);
    left -= take;
    const outcome = await sendWrite(connection, 'insert', name, part, {
      ordered: options.ordered,
      majority: options.majority && left === 0,
    });
    throwUnlessDuplicates(outcome, name, part);
    start = end;
  }
}

/** Deletes the documents of some keys, each a raw `{_id: …}`. One that is not there is no error. */
export async function deleteKeys(connection: WireConnection, name: TargetName, keys: Iterable<Buffer>): Promise<void> {
  const deletes = new BsonBuilder(4096);
  const send = async () => {
    if (deletes.documents === 0) return;
    const statements = deletes.finish();
    const outcome = await sendWrite(connection, 'delete', name, statements, { ordered: false, majority: false });
    const [error] = outcome.errors;
    if (error) throw refusal(error, name, idOfStatement(statements, error.index));
    deletes.reset();
  };
  for (const key of keys) {
    deletes.begin().startDocument('q').startDocument('_id');
    // By value: a key that is a document would else be read as an expression.
    deletes
      .appendElement(key[4] as number, '$eq', key, 9, key.length - 1)
      .end()
      .end();
    deletes.appendInt32('limit', 1).end();
    if (deletes.documents >= MOST_STATEMENTS) await send();
  }
  await send();
}

function throwUnlessDuplicates(outcome: WriteOutcome, name: TargetName, docs: Buffer): void {
  const refused = outcome.errors.find((error) => !isDuplicateId(error));
  if (refused) throw refusal(refused, name, idOfStatement(docs, refused.index));
}

/** The error for a statement that the target refused for good, or the passing fault it stands for. */
export function refusal(error: WriteError, name: TargetName, id: string): GodwitError {
  const translated = fromServerReply(
    { ok: 0, code: error.code, errmsg: error.message },
    `writing ${name.db}.${name.collection}`,
  );
  if (translated.code !== 'GW5001') return translated;
  return new GodwitError('GW5001', `${name.db}.${name.collection} _id ${id}: ${error.message}`, {
    details: { namespace: `${name.db}.${name.collection}`, id, serverCode: error.code },
  });
}

/** A write that changes nothing, acknowledged by a majority: everything before it on this member is durable then. */
export async function waitForMajority(connection: WireConnection): Promise<void> {
  await connection.run({
    appendOplogNote: 1,
    data: { godwit: 'majority' },
    writeConcern: WRITE_MAJORITY,
    $db: 'admin',
  });
}

function offsetAfter(docs: Buffer, start: number, count: number): number {
  let at = start;
  for (let i = 0; i < count; i += 1) at += docLength(docs, at);
  return at;
}

/** `_id` of the n-th statement or document of a sequence, readable, for messages. */
export function idOfStatement(sequence: Buffer, index: number): string {
  const at = offsetAfter(sequence, 0, index);
  const doc = sequence.subarray(at, at + docLength(sequence, at));
  // Updates and deletes begin with their query and have no `_id` of their own.
  const isQuery = doc[4] === 0x03 && findElement(doc, 0, '_id') < 0;
  const holder = isQuery ? doc.subarray(valueOffset(doc, 4), elementEnd(doc, 4)) : doc;
  return readableId(holder);
}

/** `_id` of a raw document as canonical extended JSON; shortened when long, for messages. */
export function readableId(doc: Buffer): string {
  const text = fullId(doc);
  return text.length > 400 ? `${text.slice(0, 400)}…` : text;
}

/** `_id` of a raw document as canonical extended JSON, whole: what names a difference must not be cut. */
export function fullId(doc: Buffer): string {
  const at = findElement(doc, 0, '_id');
  if (at < 0) return '(none)';
  const value = doc.subarray(at, elementEnd(doc, at));
  const holder = Buffer.alloc(4 + value.length + 1);
  holder.writeInt32LE(holder.length, 0);
  value.copy(holder, 4);
  try {
    return EJSON.stringify(
      deserialize(holder, { promoteValues: false, bsonRegExp: true, validation: { utf8: false } })['_id'],
      { relaxed: false },
    );
  } catch {
    return value.toString('hex');
  }
}
