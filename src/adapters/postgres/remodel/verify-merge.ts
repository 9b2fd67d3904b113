/** Merges the sorted streams of a snapshot, identity by identity, in constant memory. */
import { GodwitError } from '../../../kernel/errors.ts';
import type { Identity } from '../../../kernel/remodel/index.ts';
import type { KeyOrder } from './snapshot-order.ts';
import type { Fields, RowCursor } from './snapshot-rows.ts';
import type { Sources } from './verify-sources.ts';

/** Everything that a snapshot has of one identity. Rows begin with the identity. */
export interface Found {
  readonly identity: Identity;
  readonly old: Fields | undefined;
  /** By new table, the root's first. */
  readonly all: readonly (readonly Fields[])[];
  /** In the outbox, written past the library and not merged yet, or in quarantine. */
  readonly isPending: boolean;
  /** A tombstone. */
  readonly isDeleted: boolean;
}

/** Calls `each` in the order of identities; awaits `pause` after one where it gives a promise. */
export async function mergeSources(
  { old, all, marks }: Sources,
  order: KeyOrder,
  each: (found: Found) => void,
  pause: () => Promise<void> | undefined,
): Promise<void> {
  const cursors = [old, marks, ...all];
  let last: string | undefined;
  for (;;) {
    for (const cursor of cursors) if (cursor.needsMore) await cursor.fill();
    const identity = least(cursors, order);
    if (identity === undefined) return;
    if (last !== undefined && order.compare(last, identity) >= 0)
      throw new GodwitError('GW9001', 'Rows of a snapshot came out of order');
    last = identity;
    const oldRow = takeOne(old, identity);
    const mark = takeOne(marks, identity);
    const news: Fields[][] = [];
    for (const cursor of all) {
      const rows: Fields[] = [];
      while (cursor.row?.[0] === identity) {
        rows.push(cursor.row);
        cursor.step();
        if (cursor.needsMore) await cursor.fill();
      }
      news.push(rows);
    }
    each({ identity, old: oldRow, all: news, isPending: mark?.[1] === 'p', isDeleted: mark?.[2] === 't' });
    const waiting = pause();
    if (waiting !== undefined) await waiting;
  }
}

function least(cursors: readonly RowCursor[], order: KeyOrder): string | undefined {
  let found: string | undefined;
  for (const { row } of cursors) {
    if (row === undefined) continue;
    const key = row[0] as string;
    if (found === undefined || (key !== found && order.compare(key, found) < 0)) found = key;
  }
  return found;
}

function takeOne(cursor: RowCursor, identity: string): Fields | undefined {
  const { row } = cursor;
  if (row?.[0] !== identity) return undefined;
  cursor.step();
  return row;
}
