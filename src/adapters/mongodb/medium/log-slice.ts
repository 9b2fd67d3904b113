import { invariant } from '../../../kernel/errors.ts';
import type { LogBlock } from '../../../kernel/ports.ts';
import { POSITION_ZERO, type Position } from '../../../kernel/position.ts';
import { BsonBuilder } from '../bson/builder.ts';
import { elementEnd, findElement, readInt32, valueOffset, walk } from '../bson/walk.ts';
import { readString } from '../catalog.ts';
import { type LogEntry, namespaceText, OP, readEntry } from '../log/entry.ts';
import { commandName, databaseOf, meaningOf, splitNamespace } from '../log/structure-change.ts';
import type { Selection } from '../namespaces.ts';
import type { Medium } from './medium.ts';
import { readParts } from './read-parts.ts';

/** What the filter made of a block. */
export interface Filtered {
  readonly bytes: Buffer;
  readonly count: number;
  /** Of the entry that ends the slice, once it was met. */
  readonly end: Position | undefined;
}

/**
 * Keeps of the log what concerns the chosen namespaces, so that any tool can
 * replay it onto a restored medium: neighbours in the same transaction or
 * database would otherwise be written too. The slice ends with the first
 * no-op at or after `end`, which is kept: it tells later whether a log is the
 * one that the slice was taken from.
 */
export class LogFilter {
  readonly #selection: Selection;
  readonly #end: Position;
  readonly #out = new BsonBuilder(1024 * 1024);

  constructor(selection: Selection, end: Position) {
    this.#selection = selection;
    this.#end = end;
  }

  /** The bytes given are valid until the next call. */
  filter(block: LogBlock): Filtered {
    const out = this.#out.reset();
    for (let at = 0; at < block.bytes.length; ) {
      const entry = readEntry(block.bytes, at, true);
      at = entry.end;
      if (entry.op === OP.noop) {
        if ((entry.ts as Position) < this.#end) continue;
        out.appendRaw(entry.buf, entry.start, entry.end);
        return { bytes: out.finish(), count: out.documents, end: entry.ts };
      }
      this.#entry(entry, out);
    }
    return { bytes: out.finish(), count: out.documents, end: undefined };
  }

  #entry(entry: LogEntry, out: BsonBuilder): void {
    if (entry.op !== OP.command) {
      if (this.#isChosen(entry)) out.appendRaw(entry.buf, entry.start, entry.end);
      return;
    }
    const name = commandName(entry);
    switch (meaningOf(name)) {
      case 'ignore':
        return;
      case 'transaction':
        this.#transaction(entry, out);
        return;
      case 'structure':
        if (this.#isChosenStructure(entry, name)) out.appendRaw(entry.buf, entry.start, entry.end);
        return;
      default:
        out.appendRaw(entry.buf, entry.start, entry.end);
    }
  }

  #isChosen(entry: LogEntry): boolean {
    const namespace = namespaceText(entry);
    if (namespace === 'admin.system.version') return true;
    const { db, collection } = splitNamespace(namespace);
    return this.#selection.includes(db, collection) || (collection === 'system.views' && this.#isChosenView(entry));
  }

  /** Views are documents whose `_id` is their namespace. */
  #isChosenView(entry: LogEntry): boolean {
    const holder = entry.op === OP.update ? entry.o2 : entry.o;
    const id = holder < 0 ? undefined : readString(entry.buf.subarray(holder), '_id');
    if (id === undefined) return false;
    const { db, collection } = splitNamespace(id);
    return this.#selection.includes(db, collection);
  }

  #isChosenStructure(entry: LogEntry, name: string): boolean {
    const db = databaseOf(entry);
    const o = entry.buf.subarray(entry.o, entry.oEnd);
    if (name === 'dropDatabase') return this.#selection.touchesDatabase(db);
    const said = readString(o, name);
    if (said === undefined) return this.#selection.touchesDatabase(db);
    if (name !== 'renameCollection') return this.#selection.includes(db, said);
    const from = splitNamespace(said);
    const to = splitNamespace(readString(o, 'to') ?? said);
    return this.#selection.includes(from.db, from.collection) || this.#selection.includes(to.db, to.collection);
  }

  /** The entry with the operations that are ours, in the same frame. */
  #transaction(entry: LogEntry, out: BsonBuilder): void {
    const { buf, o } = entry;
    const array = findElement(buf, o, 'applyOps');
    if (array < 0) return void out.appendRaw(buf, entry.start, entry.end);
    const kept = this.#operations(buf, valueOffset(buf, array));
    const isWhole = kept.length === countOf(buf, valueOffset(buf, array));
    if (isWhole) return void out.appendRaw(buf, entry.start, entry.end);
    // Nothing of ours, and no other entry belongs to it: without a session it is no part of a transaction.
    if (kept.length === 0 && entry.lsid < 0) return;
    out.begin();
    walk(buf, entry.start, (type, nameStart, nameEnd, valueStart, valueEnd) => {
      const name = buf.subarray(nameStart, nameEnd);
      if (valueStart !== o) return void out.appendElement(type, name, buf, valueStart, valueEnd);
      out.startDocument(name);
      walk(buf, o, (innerType, innerNameStart, innerNameEnd, innerStart, innerEnd) => {
        const innerName = buf.subarray(innerNameStart, innerNameEnd);
        if (innerNameStart !== array + 1)
          return void out.appendElement(innerType, innerName, buf, innerStart, innerEnd);
        out.startArray(innerName);
        kept.forEach((operation, i) => void out.appendDocument(i, operation));
        out.end();
      });
      out.end();
    });
    out.end();
  }

  #operations(buf: Buffer, array: number): Buffer[] {
    const kept: Buffer[] = [];
    eachOperation(buf, array, (operation) => {
      const inner = new BsonBuilder(256);
      this.#entry(operation, inner);
      if (inner.documents > 0) kept.push(inner.finish());
    });
    return kept;
  }
}

function eachOperation(buf: Buffer, array: number, visit: (operation: LogEntry) => void): void {
  const end = array + readInt32(buf, array) - 1;
  for (let at = array + 4; at < end; at = elementEnd(buf, at)) visit(readEntry(buf, valueOffset(buf, at), false));
}

function countOf(buf: Buffer, array: number): number {
  let count = 0;
  eachOperation(buf, array, () => {
    count += 1;
  });
  return count;
}

/** The log of a medium as blocks, as they come from a source. The bytes are valid until the next is asked for. */
export async function* logBlocks(medium: Medium): AsyncGenerator<LogBlock, void, void> {
  const { log, folder } = medium;
  if (!log) return;
  const { file, compression, parts } = log.data;
  for await (const { docs, documents } of readParts(folder, file, compression, parts)) {
    let last = POSITION_ZERO;
    let first = POSITION_ZERO;
    for (let at = 0; at < docs.length; ) {
      const entry = readEntry(docs, at, true);
      at = entry.end;
      if (first === POSITION_ZERO) first = entry.ts as Position;
      last = entry.ts as Position;
    }
    invariant(first !== POSITION_ZERO, 'A block of the log without entries');
    yield { first, last, count: documents, bytes: docs };
  }
}
