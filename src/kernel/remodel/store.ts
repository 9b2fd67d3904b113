/**
 * What a remodel asks of the database that holds its tables. Every call that
 * concerns one identity serialises on it: the application's write, the relay
 * that carries it to the old table, adoption and release wait for each other,
 * so that order never depends on a queue.
 *
 * An identity is owned by exactly one model: by the new one when its root row
 * or its tombstone is there, by the old one otherwise.
 */
import type { Row, Value } from './column.ts';
import type { Model, State } from './model.ts';
import type { RemodelPhase } from './phase.ts';

/** An identity's key as text: the form in which control tables, queues and reports have it. */
export type Identity = string;

/** The control record: what every process of the application goes by. */
export interface Control {
  readonly phase: RemodelPhase;
  /** Goes up with every change of this record. */
  readonly epoch: number;
  /** Identities whose bucket is below may be adopted by their own writes: 0 to 10000. */
  readonly ramp: number;
  /** Identities whose bucket is below are read from the new model: 0 to 10000. */
  readonly reads: number;
  /** Share of reads that are compared in the shadow, 0 to 10000. */
  readonly shadow: number;
  /** What happens to writes of the old table that avoid the library. */
  readonly guard: 'capture' | 'reject';
  /** Hash of the definition that created it; a process with another one is refused. */
  readonly definition: string;
}

export type ControlChange = Partial<Omit<Control, 'epoch' | 'definition'>>;

/** A line of the remodel's history. */
export interface AuditRow {
  readonly at: string;
  readonly event: string;
  readonly epoch: number;
  readonly data: Readonly<Record<string, unknown>>;
}

/** A live process of the application, or of Godwit. */
export interface Lease {
  readonly process: string;
  readonly host: string;
  readonly role: 'application' | 'relay' | 'copier';
  /** The epoch it goes by. */
  readonly epoch: number;
  readonly definition: string;
  /** Milliseconds since it was last seen, by the database's clock. */
  readonly ageMs: number;
}

/**
 * Who owns an identity, found under its lock.
 * - `new`: its rows are in the new tables.
 * - `deleted`: a tombstone; the next write makes it anew in the new tables.
 * - `adopt`: still in the old table (or nowhere), and this write shall adopt it.
 * - `old`: in the old table (or nowhere), and stays there.
 */
export type Owner = 'new' | 'deleted' | 'adopt' | 'old';

/**
 * One identity inside a transaction of the application, which holds its lock
 * until the end of that transaction. Made by {@link RemodelStore.enter}.
 */
export interface Entered {
  readonly owner: Owner;
  /** Whether the first write, if one was given, was carried out and found its row. Otherwise nothing is said: it is to be done. */
  readonly didFirst?: boolean;
  /** The old row; undefined when there is none. */
  readOld(): Promise<Row | undefined>;
  /** The new rows; undefined when the identity is not owned by the new model, or deleted. */
  readNew(): Promise<State | undefined>;
  /** Puts a whole state into the new tables and makes the new model the owner. */
  adopt(state: State): Promise<void>;
  /** Writes rows of one new table; a row that is there (by key and id) is replaced. */
  putNew(table: string, rows: readonly Row[]): Promise<void>;
  /** Changes columns of one row. Gives whether it was there. */
  patchNew(table: string, id: Value | undefined, patch: Row): Promise<boolean>;
  /** Deletes one row of a list. Gives whether it was there. */
  removeNew(table: string, id: Value): Promise<boolean>;
  /** Deletes all rows of the identity, and leaves a tombstone. */
  deleteNew(): Promise<void>;
  /** How many rows a list has. */
  countNew(table: string): Promise<number>;
  /** Writes the old row, or deletes it: only for an identity that the old model owns. */
  putOld(row: Row | undefined): Promise<void>;
  /** Lets statements of the application's own write the old row until the next call (`{ old, new }` form of write). */
  allowOld(): Promise<void>;
}

/**
 * The first statement of a write on the new tables. It may be carried out
 * together with `enter`, so that a write of an identity that the new model owns
 * costs no round trip more than a plain one.
 */
export type FirstWrite =
  | { readonly kind: 'patch'; readonly table: string; readonly id: Value | undefined; readonly patch: Row }
  | { readonly kind: 'insert'; readonly table: string; readonly row: Row }
  | { readonly kind: 'remove'; readonly table: string; readonly id: Value };

/** What one pass of the relay did. */
export interface RelayPass {
  /** Identities whose old rows were brought up to date. */
  readonly applied: number;
  /** Identities that could not be, and are in quarantine now. */
  readonly quarantined: number;
  /** Whether more was waiting when the pass ended. */
  readonly more: boolean;
  /** Age of the oldest change applied in this pass, milliseconds, by the database's clock. */
  readonly oldestMs: number;
}

export interface Backlog {
  /** Identities with changes not yet in the old table. */
  readonly pending: number;
  /** Age of the oldest of them, milliseconds. */
  readonly oldestMs: number;
  /** Identities whose old row was written past the library and not dealt with yet. */
  readonly dirty: number;
  readonly quarantined: number;
  /** Identities owned by the new model that the old one cannot hold (see `Model.isLossy`). */
  readonly lossy: number;
  /** Identities owned by the new model, and tombstones. */
  readonly owned: number;
  readonly tombstones: number;
  /** Rows of the old table, estimated. */
  readonly oldRows: number;
}

/** One difference between the old table and `down` of the new ones, neither pending nor quarantined. */
export interface Mismatch {
  readonly identity: Identity;
  /**
   * - `missing`: in the old table, not in the new ones, and no tombstone.
   * - `extra`: in the new tables, not in the old one.
   * - `resurrected`: in the old table though deleted.
   * - `different`: in both, with other values.
   */
  readonly kind: 'missing' | 'extra' | 'resurrected' | 'different';
  /** Columns that differ, by property. */
  readonly columns: readonly string[];
}

/** How both models are compared. */
export interface CompareOptions {
  /** All columns; otherwise presence only. */
  readonly byValue: boolean;
  /** Identities a second that are read at most; undefined: as fast as the server gives them. */
  readonly maxRate?: number | undefined;
  readonly signal: AbortSignal;
}

export interface VerifyResult {
  readonly identities: number;
  /** Identities left out because a change of theirs was on its way in the snapshot. */
  readonly pending: number;
  readonly missing: number;
  /** `extra` and `resurrected` together. */
  readonly extra: number;
  readonly different: number;
  /** The first of them. */
  readonly examples: readonly Mismatch[];
  /** Names the snapshot all of it was read in. */
  readonly snapshot: string;
  readonly durationMs: number;
}

/** A measured cost of writing to both, before anything is turned on. */
export interface Impact {
  readonly samples: number;
  /** Milliseconds of the plain write of the old row: median and 99th percentile. */
  readonly plainP50Ms: number;
  readonly plainP99Ms: number;
  readonly dualP50Ms: number;
  readonly dualP99Ms: number;
  /** Bytes of write-ahead log (or oplog) a write; 0 where the store cannot say. */
  readonly plainLogBytes: number;
  readonly dualLogBytes: number;
  /** Locks held at the end of a write. */
  readonly plainLocks: number;
  readonly dualLocks: number;
}

/** What shadow comparisons found. */
export interface ShadowCount {
  /** Reads of which both sides were looked at and were the same. */
  readonly same: number;
  /** Differences that a change on its way explained. */
  readonly pending: number;
  /** Differences that stayed when nothing was on its way. */
  readonly confirmed: number;
  /** Comparisons that could not be made: the other side failed, or took too long. */
  readonly failed: number;
}

/** One transaction of the application, as the store of the model understands it. */
export interface RemodelStore<Tx> {
  readonly kind: Model['store'];

  // — the life of a remodel —
  /** Statements that `create` would carry out, for people and `--dry-run`. */
  plan(model: Model): Promise<readonly string[]>;
  /** Makes control tables, new tables where they are missing, and the guard; phase `created`. Repeatable. */
  create(model: Model, definition: string): Promise<void>;
  /** Takes all of it away again; only in phase `created` with nothing owned by the new model. */
  drop(model: Model): Promise<void>;
  /** Undefined when it was never created. With `tx`, as that transaction sees it. */
  control(model: Model, tx?: Tx): Promise<Control | undefined>;
  /** Changes control and writes the audit row in one transaction, if the epoch is still `epoch`. Throws GW7007 otherwise. */
  change(
    model: Model,
    epoch: number,
    change: ControlChange,
    event: string,
    data: Record<string, unknown>,
  ): Promise<Control>;
  /** The newest first. `create` writes a row with the event `created`. */
  audit(model: Model, limit: number): Promise<readonly AuditRow[]>;
  lease(model: Model, lease: Omit<Lease, 'ageMs'>): Promise<void>;
  leases(model: Model): Promise<readonly Lease[]>;
  /** The process has ended: nobody shall wait until its lease has run out. */
  endLease(model: Model, process: string): Promise<void>;
  /** Whether a transaction that may have begun before the present epoch still runs. */
  hasOlderTransactions(model: Model): Promise<boolean>;
  backlog(model: Model): Promise<Backlog>;
  /** Columns, types, collations, indexes and triggers of old and new tables as lines of text, in order: what drift is seen by. */
  shape(model: Model): Promise<readonly string[]>;
  /** Whether the guard is in place and catches: a heartbeat written past the library must have shown up. */
  guardWorks(model: Model): Promise<boolean>;
  measure(model: Model, samples: number): Promise<Impact>;

  // — the application's way —
  /** Locks an identity in the application's transaction, decides its owner and, for `new`, queues it for the old table. */
  enter(model: Model, tx: Tx, identity: Identity, first?: FirstWrite): Promise<Entered>;
  /**
   * For a read of the old model: the new state while the identity's changes are
   * on their way; undefined otherwise. Deleted and still on its way: a state
   * whose root has no row (`{ [model.root]: [] }` and empty lists).
   */
  pendingState(model: Model, tx: Tx | undefined, identity: Identity): Promise<State | undefined>;

  // — reads compared in the shadow —
  /** Adds to what the comparisons of all processes found under the present epoch. */
  recordShadow(model: Model, found: ShadowCount): Promise<void>;
  /** What they found since the control record was last changed. */
  shadowCount(model: Model): Promise<ShadowCount>;

  // — old later —
  /** Carries up to `limit` waiting identities to the old table; `only` limits it to these. */
  relay(model: Model, limit: number, only?: readonly Identity[]): Promise<RelayPass>;
  /** Identities that wait, oldest first and not rung for since `sinceMs` ago; marks them as rung. */
  toRing(model: Model, limit: number, sinceMs: number): Promise<readonly Identity[]>;
  /** Deals with up to `limit` writes that avoided the library. */
  settleDirty(model: Model, limit: number): Promise<number>;

  // — history —
  /** Adopts identities that the old model owns. Gives how many it adopted; others were already, or are gone. */
  adopt(model: Model, identities: readonly Identity[]): Promise<{ adopted: number; quarantined: number }>;
  /** Gives owned identities back to the old model, their changes carried over first. Gives how many; 0 when none is left, -1 when none of those left could be taken now. */
  release(model: Model, limit: number): Promise<number>;

  // — proof —
  /** Compares all in one snapshot, under live writes, without a lock. */
  verify(model: Model, options: CompareOptions): Promise<VerifyResult>;

  // — the end of the old table —
  /** Puts a view in the old table's place that records who reads it, and refuses when told to. Back with `untrap`. */
  trap(model: Model, mode: 'record' | 'refuse'): Promise<void>;
  untrap(model: Model): Promise<void>;
  trapHits(model: Model): Promise<readonly { readonly at: string; readonly who: string; readonly query: string }[]>;
  /** Drops the old table, tombstones and queue. Irreversible. */
  retire(model: Model): Promise<void>;

  close(): Promise<void>;
}
