import { GodwitError } from '../../../kernel/errors.ts';
import { failpoint } from '../../../kernel/failpoint.ts';
import { BsonBuilder } from '../bson/builder.ts';
import { cstringEnd, elementEnd, valueSize } from '../bson/walk.ts';
import type { WireConnection } from '../wire/connection.ts';
import {
  DUPLICATE_KEY,
  idOfStatement,
  isDuplicateId,
  refusal,
  sendWrite,
  type TargetName,
  type WriteError,
} from '../write.ts';
import { appendZeroTimestampRepair, hasZeroTimestamp } from '../zero-timestamps.ts';
import type { CollectionWork, Statement } from './batch.ts';
import { appendSimpleDiff, isSimpleDiff } from './simple-diff.ts';
import type { TrackedCollection } from './tracked.ts';

/** A command is sent when its statements reach this size; the server takes 48 MB. */
const COMMAND_BYTES = 12 * 1024 * 1024;
const COMMAND_STATEMENTS = 50_000;
/** An update statement larger than this is not taken by the server; delete and insert are. */
const LARGEST_STATEMENT = 16 * 1024 * 1024 + 12 * 1024;

type Kind = 'insert' | 'update' | 'delete';

/** A statement that a unique index of the target refused: keys change hands, and the order between them was lost. */
export interface Conflict {
  readonly collection: TrackedCollection;
  readonly statement: Statement;
}

/**
 * One connection that carries out its share of a batch. Statements of one key
 * run in the order of the log; of different keys, in any.
 */
export class ApplyLane {
  readonly #connection: WireConnection;
  readonly #builders: Record<Kind, BsonBuilder> = {
    insert: new BsonBuilder(1 << 16),
    update: new BsonBuilder(1 << 16),
    delete: new BsonBuilder(1 << 14),
  };
  /** Statements of the insert under construction, to be put when they are there already. */
  readonly #inserted: Statement[] = [];
  /** Statements of the update under construction, to be settled when a unique index refuses them. */
  readonly #updated: Statement[] = [];
  readonly #repairs: Statement[] = [];
  #collection: TrackedCollection | undefined;
  /** What has to be settled once all lanes are done. */
  readonly conflicts: Conflict[] = [];
  #writes = 0;

  constructor(connection: WireConnection) {
    this.#connection = connection;
  }

  get connection(): WireConnection {
    return this.#connection;
  }

  /** Statements sent since this was last asked. */
  takeWrites(): number {
    const writes = this.#writes;
    this.#writes = 0;
    return writes;
  }

  async run(works: Iterable<CollectionWork>): Promise<void> {
    for (const work of works) {
      this.#collection = work.collection;
      if (work.sequence.length > 0) await this.#runSequence(work);
      else await this.#runChains(work);
      failpoint('apply.mid-write');
    }
  }

  async #runChains(work: CollectionWork): Promise<void> {
    const name = work.collection.target;
    for (let pass = 0, more = true; more; pass += 1) {
      more = false;
      for (const { statements } of work.chains.values()) {
        const statement = statements[pass];
        if (!statement) continue;
        if (statements.length > pass + 1) more = true;
        await this.#add(name, statement);
      }
      await this.#flushAll(name);
    }
  }

  /** One after another, in log order: a change of kind sends what was gathered. */
  async #runSequence(work: CollectionWork): Promise<void> {
    const name = work.collection.target;
    let kind: Kind | undefined;
    for (const statement of work.sequence) {
      const next = work.collection.capped && statement.kind === 'put' ? 'insert' : commandOf(statement);
      if (kind !== undefined && next !== kind) await this.#flushAll(name, true, work.collection.capped);
      kind = next;
      if (next === 'insert') statement.kind = 'insert';
      await this.#add(name, statement, true, work.collection.capped);
    }
    await this.#flushAll(name, true, work.collection.capped);
  }

  async #add(name: TargetName, statement: Statement, ordered = false, capped = false): Promise<void> {
    if (statement.kind === 'reinsert' || (commandOf(statement) === 'update' && tooLargeToPut(statement))) {
      await this.#flushAll(name, ordered, capped);
      await this.#deleteAndInsert(name, statement);
      return;
    }
    const kind = commandOf(statement);
    const builder = this.#builders[kind];
    appendStatement(builder, statement);
    if (kind === 'insert') this.#inserted.push(statement);
    if (kind === 'update') this.#updated.push(statement);
    const { doc } = statement;
    if (doc && statement.kind !== 'modify' && hasZeroTimestamp(doc.buf, doc.start, doc.end))
      this.#repairs.push(statement);
    if (builder.length >= COMMAND_BYTES || builder.documents >= COMMAND_STATEMENTS) {
      await this.#flush(name, kind, ordered, capped);
    }
  }

  async #flushAll(name: TargetName, ordered = false, capped = false): Promise<void> {
    await this.#flush(name, 'insert', ordered, capped);
    await this.#flush(name, 'update', ordered, capped);
    await this.#flush(name, 'delete', ordered, capped);
    if (this.#repairs.length === 0) return;
    const builder = this.#builders.update;
    for (const statement of this.#repairs.splice(0)) {
      if (!statement.doc) continue;
      appendZeroTimestampRepair(builder, statement.doc.buf, statement.doc.start);
      this.#updated.push(statement);
    }
    await this.#flush(name, 'update', ordered, capped);
  }

  async #flush(name: TargetName, kind: Kind, ordered: boolean, capped: boolean): Promise<void> {
    const builder = this.#builders[kind];
    if (builder.documents === 0) return;
    const statements = builder.finish();
    const outcome = await sendWrite(this.#connection, kind, name, statements, { ordered, majority: false });
    this.#writes += builder.documents;
    const sent = kind === 'insert' ? this.#inserted.splice(0) : kind === 'update' ? this.#updated.splice(0) : [];
    if (outcome.errors.length === 0) {
      builder.reset();
      return;
    }
    const refused = outcome.errors.find((error) => error.code !== DUPLICATE_KEY || kind === 'delete');
    if (refused) throw errorOf(refused, name, statements);
    builder.reset();
    await this.#afterDuplicates(name, kind, sent, outcome.errors, ordered, capped);
  }

  /**
   * A duplicate `_id` is a document that an earlier attempt inserted: the log's
   * word replaces it. Any other duplicate is settled later, with the documents
   * that stand in its way.
   */
  async #afterDuplicates(
    name: TargetName,
    kind: Kind,
    sent: readonly Statement[],
    errors: readonly WriteError[],
    ordered: boolean,
    capped: boolean,
  ): Promise<void> {
    const again: Statement[] = [];
    for (const error of errors) {
      const statement = sent[error.index] as Statement;
      if (kind === 'insert' && isDuplicateId(error)) again.push(statement);
      else this.conflicts.push({ collection: this.#collection as TrackedCollection, statement });
    }
    // In a capped collection the place is part of the document: what is there is left there.
    if (!capped && again.length > 0) {
      for (const statement of again) await this.#add(name, { ...statement, kind: 'put' }, ordered, capped);
      await this.#flush(name, 'update', ordered, capped);
    }
    if (!ordered) return;
    // An ordered command stops at its first error: the rest follows now.
    for (const statement of sent.slice((errors[0] as WriteError).index + 1)) {
      appendStatement(this.#builders[kind], statement);
      (kind === 'insert' ? this.#inserted : this.#updated).push(statement);
    }
    await this.#flush(name, kind, ordered, capped);
  }

  async #deleteAndInsert(name: TargetName, statement: Statement): Promise<void> {
    appendDelete(this.#builders.delete, statement);
    await this.#flush(name, 'delete', true, false);
    const { doc } = statement;
    if (!doc) throw new GodwitError('GW9001', 'A document to put has no bytes');
    this.#builders.insert.appendRaw(doc.buf, doc.start, doc.end);
    this.#inserted.push(statement);
    await this.#flush(name, 'insert', true, false);
  }
}

function commandOf(statement: Statement): Kind {
  if (statement.kind === 'insert') return 'insert';
  return statement.kind === 'delete' ? 'delete' : 'update';
}

function tooLargeToPut(statement: Statement): boolean {
  const doc = statement.doc;
  if (!doc) return false;
  return doc.end - doc.start + (statement.id.end - statement.id.start) + 64 > LARGEST_STATEMENT || hasDollarName(doc);
}

/** Whether a top-level field begins with `$`: an update would take it for a modifier or refuse it. */
function hasDollarName(doc: { buf: Buffer; start: number; end: number }): boolean {
  const { buf, end } = doc;
  for (let at = doc.start + 4; at < end - 1; ) {
    if (buf[at + 1] === 0x24) return true;
    const value = cstringEnd(buf, at + 1) + 1;
    at = value + valueSize(buf[at] as number, buf, value);
  }
  return false;
}

function appendStatement(out: BsonBuilder, statement: Statement): void {
  switch (statement.kind) {
    case 'insert':
    case 'reinsert': {
      const doc = statement.doc as NonNullable<Statement['doc']>;
      out.appendRaw(doc.buf, doc.start, doc.end);
      return;
    }
    case 'put':
      appendPut(out, statement, true);
      return;
    case 'replace':
      appendPut(out, statement, false);
      return;
    case 'delete':
      appendDelete(out, statement);
      return;
    case 'modify': {
      const doc = statement.doc as NonNullable<Statement['doc']>;
      appendQuery(out.begin(), statement);
      out.startDocument('u');
      // `$v` says the dialect of the log, not a modifier.
      for (let at = doc.start + 4; at < doc.end - 1; at = elementEnd(doc.buf, at)) {
        const nameEnd = cstringEnd(doc.buf, at + 1);
        const name = doc.buf.subarray(at + 1, nameEnd);
        if (name.equals(DOLLAR_V)) continue;
        out.appendElement(doc.buf[at] as number, name, doc.buf, nameEnd + 1, elementEnd(doc.buf, at));
      }
      out.end().end();
      return;
    }
    case 'deltas':
      appendQuery(out.begin(), statement);
      if (appendAsModifiers(out, statement)) {
        out.end();
        return;
      }
      out.startArray('u');
      statement.deltas.forEach((delta, i) => {
        out.startDocument(i).startDocument('$_internalApplyOplogUpdate');
        out.appendDocument('oplogUpdate', delta.buf, delta.start, delta.end);
        out.end().end();
      });
      out.end().end();
      return;
  }
}

/** A single simple diff of a document known to be in step costs the server less as `$set` and `$unset`. */
function appendAsModifiers(out: BsonBuilder, statement: Statement): boolean {
  const [delta] = statement.deltas;
  if (!statement.exact || statement.deltas.length !== 1 || !delta || !isSimpleDiff(delta.buf, delta.start))
    return false;
  appendSimpleDiff(out, delta.buf, delta.start);
  return true;
}

const DOLLAR_V = Buffer.from('$v');

function appendPut(out: BsonBuilder, statement: Statement, upsert: boolean): void {
  const doc = statement.doc as NonNullable<Statement['doc']>;
  appendQuery(out.begin(), statement);
  out.appendDocument('u', doc.buf, doc.start, doc.end);
  out.appendBool('upsert', upsert).end();
}

function appendDelete(out: BsonBuilder, statement: Statement): void {
  appendQuery(out.begin(), statement);
  out.appendInt32('limit', 1).end();
}

function appendQuery(out: BsonBuilder, statement: Statement): void {
  const { id } = statement;
  out.startDocument('q');
  // A query for a document or a regular expression by value needs $eq, or it would be read as an expression.
  if (statement.idType === 0x03 || statement.idType === 0x0b) {
    out.startDocument('_id').appendElement(statement.idType, '$eq', id.buf, id.start, id.end).end();
  } else out.appendElement(statement.idType, '_id', id.buf, id.start, id.end);
  out.end();
}

function errorOf(error: WriteError, name: TargetName, statements: Buffer): GodwitError {
  return refusal(error, name, idOfStatement(statements, error.index));
}
