import { GodwitError } from '../../../kernel/errors.ts';
import { idKey } from '../bson/compare.ts';
import { elementEnd, findElement, valueOffset } from '../bson/walk.ts';
import { type LogEntry, namespaceText, OP } from './entry.ts';
import type { TrackedCollection } from './tracked.ts';

/** A slice of a buffer. */
export interface Slice {
  readonly buf: Buffer;
  readonly start: number;
  readonly end: number;
}

/**
 * One statement for the target. `put` makes the document be exactly this one;
 * `insert` does too, and is cheaper where it is known to be new; `replace` does
 * if the document is there; `reinsert` takes away whatever has its key before;
 * `deltas` runs the server's own diffs, oldest first, in one update.
 */
export interface Statement {
  kind: 'insert' | 'put' | 'replace' | 'reinsert' | 'delete' | 'deltas' | 'modify';
  readonly idType: number;
  readonly id: Slice;
  /** `insert`, `put`: the document. `modify`: the update document. */
  doc: Slice | undefined;
  deltas: Slice[];
  /** The document is known to be as it was at the source before this change. */
  exact: boolean;
}

/** The statements of one key, in order: usually one. */
interface Chain {
  readonly statements: Statement[];
}

/** Work for one collection on one lane. */
export interface CollectionWork {
  readonly collection: TrackedCollection;
  readonly chains: Map<string, Chain>;
  /** For sequential collections: every statement, in log order. */
  readonly sequence: Statement[];
}

/** At most so many diffs go into one update: the server limits pipelines to 1,000 stages. */
const MOST_DELTAS = 400;
const MOST_DELTA_BYTES = 4 * 1024 * 1024;

/**
 * Collects changes of a stretch of the log and keeps, for every key, only what
 * has to be done: a whole document or a delete makes everything before it
 * pointless, diffs of one document become one update. Keys are spread over
 * lanes; what belongs to one key stays on one lane, in order.
 *
 * Two `_id`s that the server holds equal (1 and 1.0) are one key here, and are
 * merged only when their bytes are equal as well.
 */
export class Batch {
  readonly lanes: Map<TrackedCollection, CollectionWork>[];
  /** Told of every key that is changed. */
  readonly #onTouched: ((collection: TrackedCollection, key: string, id: Slice, idType: number) => void) | undefined;
  changes = 0;

  constructor(
    laneCount: number,
    onTouched?: (collection: TrackedCollection, key: string, id: Slice, idType: number) => void,
  ) {
    this.lanes = Array.from({ length: laneCount }, () => new Map());
    this.#onTouched = onTouched;
  }

  get isEmpty(): boolean {
    return this.changes === 0;
  }

  /** Adds one data change. `fuzzy`: the target may already hold it, or something later. */
  add(collection: TrackedCollection, entry: LogEntry, fuzzy: boolean): void {
    const statement = statementOf(entry, fuzzy);
    this.changes += 1;
    const key = idKey(statement.idType, statement.id.buf, statement.id.start, statement.id.end);
    this.#onTouched?.(collection, key, statement.id, statement.idType);
    if (collection.sequential) {
      statement.kind = sequentialKind(collection, statement, entry, fuzzy);
      this.#work(hashOf(collection.uuid), collection).sequence.push(statement);
      return;
    }
    const { chains } = this.#work(hashOf(key), collection);
    const chain = chains.get(key);
    if (chain) merge(chain.statements, statement);
    else chains.set(key, { statements: [statement] });
  }

  #work(hash: number, collection: TrackedCollection): CollectionWork {
    const lane = this.lanes[hash % this.lanes.length] as Map<TrackedCollection, CollectionWork>;
    let work = lane.get(collection);
    if (!work) {
      work = { collection, chains: new Map(), sequence: [] };
      lane.set(collection, work);
    }
    return work;
  }
}

/**
 * Where order is meaning, a document that is gone must not come back at the end. Where keys are equal under a
 * collation, the target may hold the document of a later spelling, whose `_id` no update can change.
 */
function sequentialKind(
  collection: TrackedCollection,
  { kind }: Statement,
  entry: LogEntry,
  fuzzy: boolean,
): Statement['kind'] {
  if (kind !== 'put') return kind;
  if (collection.capped) return entry.op === OP.update ? 'replace' : 'put';
  return fuzzy ? 'reinsert' : 'put';
}

function merge(statements: Statement[], next: Statement): void {
  const last = statements.at(-1) as Statement;
  if (!sameBytes(last.id, next.id) || last.idType !== next.idType) {
    statements.push(next);
    return;
  }
  switch (next.kind) {
    case 'put':
    case 'insert':
    case 'replace':
    case 'reinsert':
      // What was there before, if anything, is replaced; whether it was is only known to a `put`.
      if (last.kind !== 'insert') next.kind = 'put';
      statements[statements.length - 1] = next;
      return;
    case 'delete':
      statements[statements.length - 1] = next;
      return;
    case 'deltas':
      if (
        last.kind === 'deltas' &&
        last.deltas.length < MOST_DELTAS &&
        deltaBytes(last) + deltaBytes(next) < MOST_DELTA_BYTES
      ) {
        last.deltas.push(...next.deltas);
      } else statements.push(next);
      return;
    case 'modify':
      statements.push(next);
      return;
  }
}

function deltaBytes(statement: Statement): number {
  let bytes = 0;
  for (const delta of statement.deltas) bytes += delta.end - delta.start;
  return bytes;
}

function sameBytes(a: Slice, b: Slice): boolean {
  const length = a.end - a.start;
  if (length !== b.end - b.start) return false;
  if (length > 24) return a.buf.compare(b.buf, b.start, b.end, a.start, a.end) === 0;
  for (let i = 0; i < length; i += 1) if (a.buf[a.start + i] !== b.buf[b.start + i]) return false;
  return true;
}

function statementOf(entry: LogEntry, fuzzy: boolean): Statement {
  const { buf } = entry;
  const holder = entry.op === OP.update ? entry.o2 : entry.o;
  const at = holder < 0 ? -1 : findElement(buf, holder, '_id');
  if (at < 0) throw new GodwitError('GW5003', `A change of ${namespaceText(entry)} does not say which _id`);
  const id: Slice = { buf, start: valueOffset(buf, at), end: elementEnd(buf, at) };
  const statement: Statement = {
    kind: 'delete',
    idType: buf[at] as number,
    id,
    doc: undefined,
    deltas: [],
    exact: !fuzzy,
  };
  if (entry.op === OP.insert) {
    statement.kind = fuzzy ? 'put' : 'insert';
    statement.doc = { buf, start: entry.o, end: entry.oEnd };
  } else if (entry.op === OP.update) describeUpdate(entry, statement);
  return statement;
}

/**
 * The forms an update takes in the log: a whole document (it has an `_id`,
 * and may even hold a field `$v`), a diff (`{$v: 2, diff}`), or the modifiers
 * of servers before 5.0.
 */
function describeUpdate(entry: LogEntry, statement: Statement): void {
  const { buf } = entry;
  if (findElement(buf, entry.o, '_id') >= 0) {
    statement.kind = 'put';
    statement.doc = { buf, start: entry.o, end: entry.oEnd };
    return;
  }
  if (findElement(buf, entry.o, 'diff') >= 0) {
    statement.kind = 'deltas';
    statement.deltas = [{ buf, start: entry.o, end: entry.oEnd }];
    return;
  }
  const first = buf[entry.o + 5];
  if (first === 0x24) {
    statement.kind = 'modify';
    statement.doc = { buf, start: entry.o, end: entry.oEnd };
    return;
  }
  throw new GodwitError('GW5003', `An update of ${namespaceText(entry)} has a form that is not known`);
}

function hashOf(key: string): number {
  let hash = 0x811c9dc5;
  for (let i = Math.max(0, key.length - 24); i < key.length; i += 1) {
    hash = Math.imul(hash ^ key.charCodeAt(i), 0x01000193);
  }
  // The low bits of this hash follow the last byte too closely to pick a lane by.
  return (hash ^ (hash >>> 15)) >>> 0;
}
