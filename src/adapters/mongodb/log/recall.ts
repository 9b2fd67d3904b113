import type { LogBlock } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import { idKey } from '../bson/compare.ts';
import { elementEnd, findElement, valueOffset } from '../bson/walk.ts';
import type { TouchedKeys } from '../verify/touched.ts';
import { forEachOperation, type LogEntry, OP, readEntry } from './entry.ts';
import type { TrackedCollection, TrackedCollections } from './tracked.ts';
import { operationsAt } from './transactions.ts';

/**
 * Notes the keys that a stretch of the log changes, without applying it: how
 * a fresh process learns what changed since a proof that an earlier one made.
 * Parts of transactions count whether or not they were committed; looking at
 * a key too many does no harm.
 */
export function recallTouched(
  block: LogBlock,
  upTo: Position,
  tracked: TrackedCollections,
  touched: TouchedKeys,
): void {
  for (let at = 0; at < block.bytes.length; ) {
    const entry = readEntry(block.bytes, at, true);
    at = entry.end;
    if ((entry.ts as Position) > upTo) return;
    if (entry.op !== OP.command) note(entry, tracked, touched);
    else {
      const array = operationsAt(entry);
      if (array >= 0) forEachOperation(entry.buf, array, (operation) => note(operation, tracked, touched));
    }
  }
}

function note(entry: LogEntry, tracked: TrackedCollections, touched: TouchedKeys): void {
  if (entry.op === OP.noop || entry.op === OP.command || entry.uuidStart < 0) return;
  const collection: TrackedCollection | undefined = tracked.at(entry.buf, entry.uuidStart);
  const holder = entry.op === OP.update ? entry.o2 : entry.o;
  const at = !collection || holder < 0 ? -1 : findElement(entry.buf, holder, '_id');
  if (!collection || at < 0) return;
  const { buf } = entry;
  const id = { buf, start: valueOffset(buf, at), end: elementEnd(buf, at) };
  const type = buf[at] as number;
  touched.add(collection, idKey(type, buf, id.start, id.end), id, type);
}
