import { invariant } from '../../../kernel/errors.ts';
import { POSITION_ZERO, type Position } from '../../../kernel/position.ts';
import type { CollectionSpec } from '../catalog.ts';
import type { TargetName } from '../write.ts';

/** A collection that the log is applied to, by its identity at the source. */
export interface TrackedCollection {
  readonly uuid: string;
  /** Present name at the source, as of the log position reached. */
  source: { db: string; name: string };
  target: TargetName;
  /** Data changes up to here are in the copy already and are passed over. */
  skipUntil: Position;
  /** Documents may be newer than the log up to here: only idempotent statements are used. */
  fuzzyUntil: Position;
  /** Order is meaning, or keys equal without equal bytes: statements run one after another. */
  sequential: boolean;
  capped: boolean;
  /** It existed at the source but is gone before it could be copied: the log will drop it. */
  ghost: boolean;
}

/** The collections a run knows, found by UUID; its JSON form is part of the applier's memory. */
export class TrackedCollections {
  readonly #byUuid = new Map<string, TrackedCollection>();
  readonly #byBytes = new Map<string, TrackedCollection>();

  static of(collections: readonly TrackedCollection[]): TrackedCollections {
    const tracked = new TrackedCollections();
    for (const collection of collections) tracked.add({ ...collection });
    return tracked;
  }

  add(collection: TrackedCollection): void {
    this.#byUuid.set(collection.uuid, collection);
    this.#byBytes.set(Buffer.from(collection.uuid, 'hex').toString('latin1'), collection);
  }

  remove(uuid: string): void {
    this.#byUuid.delete(uuid);
    this.#byBytes.delete(Buffer.from(uuid, 'hex').toString('latin1'));
  }

  get(uuid: string): TrackedCollection | undefined {
    return this.#byUuid.get(uuid);
  }

  /** Finds by the 16 bytes at an offset. */
  at(buf: Buffer, offset: number): TrackedCollection | undefined {
    return this.#byBytes.get(buf.toString('latin1', offset, offset + 16));
  }

  all(): TrackedCollection[] {
    return [...this.#byUuid.values()];
  }

  byTarget(name: TargetName): TrackedCollection | undefined {
    return this.all().find((c) => c.target.db === name.db && c.target.collection === name.collection);
  }
}

/** A collection of the catalog as the log applier sees it. */
export function trackedOf(spec: CollectionSpec, target: TargetName, skipUntil: Position): TrackedCollection {
  invariant(spec.uuid.length === 32, `Collection ${spec.db}.${spec.name} has no UUID`);
  return {
    uuid: spec.uuid,
    source: { db: spec.db, name: spec.name },
    target,
    skipUntil,
    fuzzyUntil: POSITION_ZERO,
    sequential: spec.capped || spec.collated,
    capped: spec.capped,
    ghost: false,
  };
}
