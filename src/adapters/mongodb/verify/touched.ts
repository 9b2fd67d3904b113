import type { Slice } from '../log/batch.ts';
import type { TrackedCollection } from '../log/tracked.ts';
import { type RawKey, rawKey } from './recheck.ts';

const MOST_KEYS = 300_000;

/**
 * The keys that the log changed since a proof began: what has to be looked at
 * again for the proof to hold now. Bounded; a collection with too many keys is
 * only named, and has to be verified as a whole again.
 */
export class TouchedKeys {
  readonly #keys = new Map<string, Map<string, RawKey>>();
  readonly #overflowed = new Set<string>();
  #size = 0;

  add(collection: TrackedCollection, key: string, id: Slice, idType: number): void {
    // Order is compared as a whole there, always.
    if (collection.capped || this.#overflowed.has(collection.uuid)) return;
    let keys = this.#keys.get(collection.uuid);
    if (!keys) {
      keys = new Map();
      this.#keys.set(collection.uuid, keys);
    }
    // `key` rounds numbers, so that neighbours among large ones share it; every one of them has to be looked at.
    const exact = `${key}\0${id.buf.toString('latin1', id.start, id.end)}`;
    if (keys.has(exact)) return;
    if (this.#size >= MOST_KEYS) {
      this.#overflowed.add(collection.uuid);
      this.#size -= keys.size;
      this.#keys.delete(collection.uuid);
      return;
    }
    keys.set(exact, rawKey(id, idType));
    this.#size += 1;
  }

  /** Keys by collection. */
  entries(): [uuid: string, keys: RawKey[]][] {
    return [...this.#keys].map(([uuid, keys]) => [uuid, [...keys.values()]]);
  }

  /** Collections too many keys of which changed. */
  get overflowed(): ReadonlySet<string> {
    return this.#overflowed;
  }

  get size(): number {
    return this.#size;
  }

  /** Gives the keys and goes on with an empty set. */
  take(): [uuid: string, keys: RawKey[]][] {
    const entries = this.entries();
    this.#keys.clear();
    this.#size = 0;
    return entries;
  }

  /** Forgets some collections: they are proved anew. */
  forget(uuids: ReadonlySet<string>): void {
    for (const uuid of uuids) {
      this.#size -= this.#keys.get(uuid)?.size ?? 0;
      this.#keys.delete(uuid);
      this.#overflowed.delete(uuid);
    }
  }

  /** Forgets everything: a new proof begins. */
  clear(): void {
    this.#keys.clear();
    this.#overflowed.clear();
    this.#size = 0;
  }
}
