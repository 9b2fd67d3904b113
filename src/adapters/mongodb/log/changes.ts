import type { LogBlock } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import { idKey } from '../bson/compare.ts';
import { elementEnd, findElement, valueOffset } from '../bson/walk.ts';
import type { Slice } from './batch.ts';
import { forEachOperation, type LogEntry, OP, readEntry } from './entry.ts';
import type { TrackedCollection, TrackedCollections } from './tracked.ts';
import { operationsAt } from './transactions.ts';

/** A change of one document, as the log tells it. */
export interface DocumentChange {
  readonly collection: TrackedCollection;
  readonly id: Slice;
  readonly idType: number;
  readonly entry: LogEntry;
  /** Of a change inside a transaction: where its part lies, not where it was committed. */
  readonly position: Position;
}

/** Stands for a key of one collection: keys that the server holds equal have one name. */
export function nameOfKey(uuid: string, type: number, id: Slice): string {
  return `${uuid} ${idKey(type, id.buf, id.start, id.end)}`;
}

/**
 * Visits the changes that a stretch of the log makes to documents of known
 * collections, without applying them: after a position, up to another. Parts of
 * transactions count whether or not they were committed.
 */
export function eachChange(
  block: LogBlock,
  { after, upTo }: { after: Position; upTo: Position },
  tracked: TrackedCollections,
  visit: (change: DocumentChange) => void,
): void {
  const look = (entry: LogEntry, position: Position) => {
    const change = changeOf(entry, position, tracked);
    if (change) visit(change);
  };
  for (let at = 0; at < block.bytes.length; ) {
    const entry = readEntry(block.bytes, at, true);
    at = entry.end;
    const position = entry.ts as Position;
    if (position > upTo) return;
    if (position <= after) continue;
    const array = entry.op === OP.command ? operationsAt(entry) : -1;
    if (array >= 0) forEachOperation(entry.buf, array, (operation) => look(operation, position));
    else look(entry, position);
  }
}

function changeOf(entry: LogEntry, position: Position, tracked: TrackedCollections): DocumentChange | undefined {
  if (entry.op === OP.noop || entry.op === OP.command || entry.uuidStart < 0) return undefined;
  const collection = tracked.at(entry.buf, entry.uuidStart);
  const holder = entry.op === OP.update ? entry.o2 : entry.o;
  const at = !collection || holder < 0 ? -1 : findElement(entry.buf, holder, '_id');
  if (!collection || at < 0) return undefined;
  const { buf } = entry;
  const id = { buf, start: valueOffset(buf, at), end: elementEnd(buf, at) };
  return { collection, id, idType: buf[at] as number, entry, position };
}
