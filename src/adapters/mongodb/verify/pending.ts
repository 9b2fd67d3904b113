import type { LogBlock } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import { idKey } from '../bson/compare.ts';
import { findElement } from '../bson/walk.ts';
import { type DocumentChange, eachChange } from '../log/changes.ts';
import { OP } from '../log/entry.ts';
import type { TrackedCollections } from '../log/tracked.ts';
import { digestOf } from './digest.ts';
import type { RawKey } from './recheck.ts';

export type ChangeKind = 'insert' | 'replace' | 'update' | 'delete';

/** What a stretch of the log does to one key. */
export interface PendingChange {
  readonly first: { readonly position: Position; readonly kind: ChangeKind };
  readonly last: { readonly position: Position; readonly kind: ChangeKind };
  readonly count: number;
  /** Digests of whole documents that it wrote, the latest few. */
  readonly wrote: readonly string[];
  /** Also something was written of which the log holds the difference only. */
  readonly wroteDiffs: boolean;
}

const MOST_KEYS = 300_000;
const MOST_WROTE = 8;

/**
 * What the log holds of each key in a stretch that is not applied yet: the
 * evidence by which a difference is late or wrong. Bounded; of a collection
 * with too many keys nothing is known any more.
 */
export class PendingChanges {
  readonly #keys = new Map<string, Map<string, PendingChange>>();
  readonly #overflowed = new Set<string>();
  #size = 0;

  /** Takes in a block of the log, after a position and up to another. Blocks must come in order. */
  add(block: LogBlock, range: { after: Position; upTo: Position }, tracked: TrackedCollections): void {
    eachChange(block, range, tracked, (change) => this.#note(change));
  }

  of(uuid: string, key: RawKey): PendingChange | undefined {
    return this.#keys.get(uuid)?.get(idKey(key[4] as number, key, 9, key.length - 1));
  }

  /** Whether too many keys of a collection changed to know which. */
  isOverflowed(uuid: string): boolean {
    return this.#overflowed.has(uuid);
  }

  #note(change: DocumentChange): void {
    const { uuid } = change.collection;
    if (this.#overflowed.has(uuid)) return;
    let keys = this.#keys.get(uuid);
    if (!keys) {
      keys = new Map();
      this.#keys.set(uuid, keys);
    }
    const { id, idType, position } = change;
    const name = idKey(idType, id.buf, id.start, id.end);
    const before = keys.get(name);
    if (!before && this.#size >= MOST_KEYS) {
      this.#overflowed.add(uuid);
      this.#size -= keys.size;
      this.#keys.delete(uuid);
      return;
    }
    if (!before) this.#size += 1;
    const kind = kindOf(change);
    const step = { position, kind };
    const whole = kind === 'insert' || kind === 'replace' ? [digestOf(documentOf(change))] : [];
    keys.set(name, {
      first: before?.first ?? step,
      last: step,
      count: (before?.count ?? 0) + 1,
      wrote: [...(before?.wrote ?? []), ...whole].slice(-MOST_WROTE),
      wroteDiffs: kind === 'update' || (before?.wroteDiffs ?? false),
    });
  }
}

/** What a change of the log is, in a word. */
export function kindOf({ entry }: DocumentChange): ChangeKind {
  if (entry.op === OP.insert) return 'insert';
  if (entry.op === OP.delete) return 'delete';
  return findElement(entry.buf, entry.o, '_id') >= 0 ? 'replace' : 'update';
}

function documentOf({ entry }: DocumentChange): Buffer {
  return entry.buf.subarray(entry.o, entry.oEnd);
}
