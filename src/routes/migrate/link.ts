import { join } from 'node:path';
import {
  type ApplierMemory,
  adoptCollection,
  type Cluster,
  type Moment,
  OplogApplier,
  OplogSource,
  recallTouched,
  reconcileViews,
  type Selection,
  TouchedKeys,
  type TrackedCollection,
  TrackedCollections,
} from '../../adapters/mongodb/index.ts';
import { type ApplyCheckpoint, applyLog, intentKey } from '../../kernel/apply.ts';
import type { Clock } from '../../kernel/clock.ts';
import { abortedBy, GodwitError, invariant, throwIfAborted } from '../../kernel/errors.ts';
import { follow } from '../../kernel/follow.ts';
import type { ChangeSource, LogBlock } from '../../kernel/ports.ts';
import { laterOf, POSITION_ZERO, type Position } from '../../kernel/position.ts';
import { type RetryPolicy, withRetry } from '../../kernel/retry.ts';
import { type RunStore, Spool } from '../../state/index.ts';
import { Aligner } from './aligner.ts';
import { BLOCK_BYTES, eachBlock } from './spool-pass.ts';

/** One direction of flow. A new generation begins whenever the direction turns. */
export interface Generation {
  readonly number: number;
  readonly direction: 'forward' | 'reverse';
  /** The log is spooled from here. */
  readonly start: Position;
  /** The structure known at the start holds everything up to here. */
  readonly structureAsOf: Position;
  /** Up to here a change of a collection that is not known is no surprise: it was gone when the structure was listed. */
  readonly listedBy?: Position;
}

export interface LinkOptions {
  readonly generation: Generation;
  readonly from: Cluster;
  readonly to: Cluster;
  /** Of the namespaces at `from`. */
  readonly selection: Selection;
  readonly store: RunStore;
  readonly readFrom: 'primary' | 'secondary';
  /** What the log is taken from in place of the server alone. */
  readonly openSource?: (server: OplogSource) => ChangeSource;
  /** Whether nobody looks at the log now, so that its position need not be carried forward. */
  readonly isIdle?: () => boolean;
  readonly applyLanes: number;
  readonly clock: Clock;
  readonly retryForMs: number;
  readonly onFault: (error: GodwitError | undefined) => void;
  /** Waits while the run is paused. */
  readonly gate: () => Promise<void>;
}

/** Later than every position: how far documents are ahead is not known yet. */
const POSITION_NEVER = 'ffffffffffffffff' as Position;
const SYNC_EVERY_MS = 500;
const TICK_MS = 400;
const SPOOL_POLL_MS = 50;
const MOST_RETAINED_BYTES = 2 * 1024 * 1024 * 1024;

/** What the log showed of writes to the chosen namespaces. */
export interface SeenWrites {
  /** The newest insert, update or change of structure. */
  newest: { namespace: string; position: Position } | undefined;
  /** The newest delete of each namespace: a TTL index may be its cause. */
  readonly deletes: Map<string, Position>;
}

/** Where the log of a generation is kept. */
export function spoolDir(store: RunStore, generation: number): string {
  return join(store.paths.dir, `spool-${generation}`);
}

/** State key of the position up to which documents may be ahead of the log. */
export function aheadKey(generation: number): string {
  return `${checkpointKey(generation)}.ahead`;
}

/** State key of a generation's checkpoint. */
export function checkpointKey(generation: number): string {
  return `apply.${generation}`;
}

/**
 * Follows one cluster's log into a spool and applies it to the other. Both
 * halves run on their own: the spool grows while applying is paused, waits for
 * the copy, or waits out a fault of the target.
 */
export class Link {
  readonly touched = new TouchedKeys();
  readonly #options: LinkOptions;
  readonly #spool: Spool;
  readonly #stop = new AbortController();
  #applierStop = new AbortController();
  #follower: Promise<void> = Promise.resolve();
  #ticker: Promise<void> = Promise.resolve();
  #applying: Promise<void> = Promise.resolve();
  #isApplying = false;
  #failure: unknown;
  #proofFrom: Position | undefined;
  #settling = false;
  #spoolLost = false;
  #flowsAfter = POSITION_NEVER;
  #aheadTo: Position = POSITION_ZERO;
  /** Others who need the log kept, by the position from which. */
  readonly #keepers = new Set<{ readonly from: Position }>();

  #moment: Moment | undefined;
  #collections: Map<string, TrackedCollection>;
  #checkpoint: ApplyCheckpoint;
  readonly #aligner = new Aligner();
  readonly #waiters = new Set<() => void>();
  readonly seen: SeenWrites = { newest: undefined, deletes: new Map() };
  /** Seconds between commit and durability at the other side, at the last step. */
  lagSeconds: number | undefined;
  entriesApplied = 0;

  private constructor(options: LinkOptions, spool: Spool) {
    this.#options = options;
    this.#spool = spool;
    this.#checkpoint = this.#readCheckpoint();
    this.#collections = collectionsOf(this.#checkpoint);
    this.entriesApplied = this.#checkpoint.entries;
  }

  static async open(options: LinkOptions): Promise<Link> {
    return new Link(options, await Spool.open(spoolDir(options.store, options.generation.number)));
  }

  get generation(): Generation {
    return this.#options.generation;
  }

  get spoolBytes(): number {
    return this.#spool.sizeBytes;
  }

  get spooledTo(): Position {
    return this.#spool.end;
  }

  get appliedTo(): Position {
    return this.#checkpoint.position;
  }

  /** Whether the source's log was there where ours ended: something of it has come since this link was started. */
  get isFlowing(): boolean {
    return this.#spool.end > this.#flowsAfter;
  }

  get isApplying(): boolean {
    return this.#isApplying;
  }

  /** Whether it failed because the log, or our copy of it, cannot be gone on with. */
  get hasLostLog(): boolean {
    return isLostLog(this.#failure);
  }

  /** A collection as the log knows it now, by UUID at `from`. */
  collection(uuid: string): TrackedCollection | undefined {
    return this.#collections.get(uuid);
  }

  collections(): TrackedCollection[] {
    return [...this.#collections.values()];
  }

  /** The other side may hold changes of a collection up to here, though they do not count as applied yet. */
  aheadTo(collection: TrackedCollection): Position {
    return this.#settling ? POSITION_NEVER : laterOf(this.#aheadTo, collection.fuzzyUntil);
  }

  /** Begins to spool. */
  startFollowing(): void {
    const { from, selection, readFrom, generation, openSource } = this.#options;
    const server = new OplogSource({ cluster: from, selection, readFrom });
    const source = openSource?.(server) ?? server;
    // Without its spool a flow goes on from the checkpoint, which holds what is needed from before it.
    this.#spoolLost = this.#spool.end === POSITION_ZERO && this.appliedTo > generation.start;
    const start = this.#spoolLost ? this.#checkpoint.restartFrom : generation.start;
    this.#flowsAfter = laterOf(this.#spool.end, start);
    this.#follower = follow({
      source,
      log: this.#spool,
      start,
      retry: this.#retry(this.#stop.signal),
      syncEveryMs: SYNC_EVERY_MS,
    }).catch((error) => this.#fail(error));
    this.#ticker = this.#tick();
  }

  /** Begins to apply what was spooled. The checkpoint of the generation must be complete. */
  startApplying(): void {
    invariant(!this.#isApplying, 'The log is being applied already');
    this.#isApplying = true;
    this.#applierStop = new AbortController();
    const signal = AbortSignal.any([this.#stop.signal, this.#applierStop.signal]);
    let applier: OplogApplier | undefined;
    this.#applying = applyLog({
      log: this.#spool,
      store: this.#options.store,
      checkpointKey: checkpointKey(this.generation.number),
      maxBlockBytes: BLOCK_BYTES,
      retry: this.#retry(signal),
      openApplier: async (checkpoint) => {
        applier?.close();
        applier = await this.#openApplier(checkpoint, signal);
        return applier;
      },
      retainFrom: () => this.#retained(),
      onApplied: (applied, checkpoint) => {
        this.#checkpoint = checkpoint;
        if (applied.memory !== undefined) this.#collections = collectionsOf(checkpoint);
        if (this.#settling) {
          // The checkpoint says which collections are ahead, and how far.
          this.#settling = false;
          this.#options.store.set(this.#aheadKey, POSITION_ZERO);
        }
        this.#moment = { source: applied.position, target: applied.targetPosition };
        this.entriesApplied = checkpoint.entries;
        if (applied.committedAtMs > 0)
          this.lagSeconds = Math.max(0, this.#options.clock.now() - applied.committedAtMs) / 1000;
        this.#options.onFault(undefined);
        this.#wake();
      },
    })
      .catch((error) => this.#fail(error))
      .finally(() => applier?.close());
  }

  /**
   * A proof begins: from now on the keys that change are remembered, and the
   * log is kept so that another process could learn them again.
   */
  beginProof(): Position {
    this.touched.clear();
    this.#proofFrom = this.appliedTo;
    return this.#proofFrom;
  }

  /**
   * Learns from the kept log what changed since a proof of an earlier process.
   * To be called before applying starts. False when the log does not tell.
   */
  async recallProof(from: Position): Promise<boolean> {
    const upTo = this.appliedTo;
    this.touched.clear();
    if (this.#spoolLost && from < this.#checkpoint.restartFrom) return false;
    const tracked = TrackedCollections.of(this.collections());
    try {
      await eachBlock(this.#spool, from, upTo, [this.#stop.signal], (block) => {
        recallTouched(block, upTo, tracked, this.touched);
        return true;
      });
    } catch (error) {
      if (error instanceof GodwitError && error.code === 'GW4002') return false;
      throw error;
    }
    this.#proofFrom = from;
    return true;
  }

  /** Keeps the log since the proof, as long as that is of use and of reasonable size, and what others need. */
  #retained(): Position | undefined {
    const wanted = [...this.#keepers].map(({ from }) => from);
    if (this.#proofFrom !== undefined && this.#spool.sizeBytes < MOST_RETAINED_BYTES) wanted.push(this.#proofFrom);
    return wanted.sort()[0];
  }

  /** Our copy of the log is kept from a position on until this is disposed of. */
  keepLogFrom(from: Position): Disposable {
    const keeper = { from };
    this.#keepers.add(keeper);
    return { [Symbol.dispose]: () => void this.#keepers.delete(keeper) };
  }

  /** Our copy of the log holds everything after this position. */
  get keptLogFrom(): Position {
    return laterOf(this.#spool.keptAfter, this.#spoolLost ? this.#flowsAfter : this.generation.start);
  }

  /** Waits until our copy of the log reaches a position. */
  async waitSpooled(position: Position, signal: AbortSignal): Promise<void> {
    while (this.#spool.end < position) {
      this.#throwFailure();
      throwIfAborted(signal);
      throwIfAborted(this.#stop.signal);
      await this.#options.clock.sleep(SPOOL_POLL_MS, signal);
    }
  }

  /** Visits the blocks of our copy of the log between two positions; the first may begin before, the last end after. */
  eachSpooled(from: Position, upTo: Position, signal: AbortSignal, visit: (block: LogBlock) => void): Promise<void> {
    return eachBlock(this.#spool, from, upTo, [signal, this.#stop.signal], (block) => {
      visit(block);
      return true;
    });
  }

  /**
   * Applies what is spooled of some collections, from the beginning of the
   * flow up to a position or to the first change of structure, while others
   * are still being copied. May be repeated; gives the position reached.
   */
  async applyEarly(collections: readonly TrackedCollection[], upTo: Position, signal: AbortSignal): Promise<Position> {
    const { from, to, selection, applyLanes, generation } = this.#options;
    const never = () => Promise.reject(new GodwitError('GW9001', 'Structure was to be held'));
    const applier = await OplogApplier.open(
      {
        source: from,
        target: to,
        selection,
        lanes: applyLanes,
        memory: { collections, transactions: [] },
        after: generation.start,
        structureAsOf: generation.structureAsOf,
        listedBy: generation.listedBy,
        fuzzyUntil: upTo,
        holdAtStructure: true,
        adopt: never,
        reconcileViews: never,
        beforeStep: this.#options.gate,
      },
      signal,
    );
    let reached = generation.start;
    try {
      await eachBlock(this.#spool, generation.start, upTo, [signal, this.#stop.signal], async (block) => {
        for await (const applied of applier.apply(block, signal)) reached = applied.position;
        return !applier.held;
      });
      return reached;
    } finally {
      applier.close();
    }
  }

  /** Runs `work` while nothing is applied; what follows is replayed as if `work` had come later in the log. */
  async whileHeld<T>(work: () => Promise<T>): Promise<T> {
    await this.#stopApplying();
    this.#options.store.set(this.#aheadKey, POSITION_NEVER);
    try {
      return await work();
    } finally {
      const mark = await this.#options.from.note({ held: 'applier' }).catch(() => POSITION_NEVER);
      this.#options.store.set(this.#aheadKey, mark);
      if (!this.#stop.signal.aborted) this.startApplying();
    }
  }

  /** Waits until everything up to a position is durable at the other side. */
  async waitApplied(position: Position, signal: AbortSignal): Promise<void> {
    await this.#until(() => this.#checkpoint.position >= position && this.#moment !== undefined, signal);
  }

  /** Marks the log and waits until the mark is applied. */
  async catchUp(signal: AbortSignal): Promise<Position> {
    const mark = await this.mark(signal);
    await this.waitApplied(mark, signal);
    return mark;
  }

  /** A position at or after every write acknowledged at `from` so far. */
  mark(signal: AbortSignal): Promise<Position> {
    return withRetry(this.#retry(signal), () => this.#options.from.note({ mark: this.#options.clock.now() }));
  }

  /** The latest moment at which both sides hold the same, if any was reached yet. */
  get latestMoment(): Moment | undefined {
    return this.#moment;
  }

  /** The latest moment at which both sides hold the same. */
  async moment(signal: AbortSignal): Promise<Moment> {
    await this.#until(() => this.#moment !== undefined, signal);
    return this.#moment as Moment;
  }

  /**
   * Runs `work` while everything up to a place found by `locate` is applied,
   * and nothing after it.
   */
  async alignedAt<T, R>(
    locate: () => Promise<{ position: Position; value: T }>,
    work: (value: T) => Promise<R>,
    signal: AbortSignal,
  ): Promise<R> {
    const over = new AbortController();
    const failed = this.failed(AbortSignal.any([signal, this.#stop.signal, over.signal]));
    failed.catch(() => undefined);
    try {
      return await this.#aligner.at(locate, work, (promise) => Promise.race([promise, failed]));
    } finally {
      over.abort();
    }
  }

  /** Rejects when this link has failed for good, or when the signal is set; being stopped is no failure. */
  failed(signal: AbortSignal): Promise<never> {
    return new Promise((_resolve, reject) => {
      const look = () => {
        if (this.#failure === undefined && !signal.aborted) return;
        this.#waiters.delete(look);
        signal.removeEventListener('abort', look);
        reject(this.#failure ?? abortedBy(signal));
      };
      this.#waiters.add(look);
      signal.addEventListener('abort', look, { once: true });
      look();
    });
  }

  async stop(): Promise<void> {
    this.#stop.abort(new GodwitError('GW8001', 'The link was stopped'));
    this.#wake();
    await Promise.allSettled([this.#follower, this.#applying, this.#ticker]);
    this.#isApplying = false;
    await this.#spool.close();
  }

  async #stopApplying(): Promise<void> {
    this.#applierStop.abort(new GodwitError('GW8001', 'Applying was held'));
    await this.#applying;
    this.#isApplying = false;
    this.#throwFailure();
  }

  async #openApplier(checkpoint: ApplyCheckpoint, signal: AbortSignal): Promise<OplogApplier> {
    await this.#options.gate();
    const { from, to, selection, applyLanes, generation } = this.#options;
    // What an earlier process may have applied without living to say so, and what was repaired beside the log.
    const begun = this.#options.store.get<Position>(intentKey(checkpointKey(generation.number))) ?? POSITION_ZERO;
    const fuzzyUntil = laterOf(begun, this.#options.store.get<Position>(this.#aheadKey) ?? POSITION_ZERO);
    this.#aheadTo = laterOf(this.#aheadTo, fuzzyUntil);
    return OplogApplier.open(
      {
        source: from,
        target: to,
        selection,
        lanes: applyLanes,
        memory: checkpoint.memory as ApplierMemory,
        after: checkpoint.position,
        structureAsOf: generation.structureAsOf,
        listedBy: generation.listedBy,
        fuzzyUntil,
        adopt: (uuid, db, name) => adoptCollection(from, to, selection, uuid, db, name, signal),
        reconcileViews: (db, target) => reconcileViews(from, target, selection, db),
        onTouched: (collection, key, id, idType) => this.touched.add(collection, key, id, idType),
        onChange: (namespace, position, isDelete) => {
          if (isDelete) this.seen.deletes.set(namespace, position);
          else this.seen.newest = { namespace, position };
        },
        beforeSettling: () => {
          this.#settling = true;
          this.#options.store.set(this.#aheadKey, POSITION_NEVER);
        },
        onAhead: (position) => {
          this.#aheadTo = laterOf(this.#aheadTo, position);
        },
        barrier: () => this.#aligner.barrier(),
        beforeStep: this.#options.gate,
      },
      signal,
    );
  }

  /** Notes carry the position forward while nothing of ours is written, and make lag visible. */
  async #tick(): Promise<void> {
    const { clock, from, isIdle } = this.#options;
    const { signal } = this.#stop;
    while (!signal.aborted) {
      if (!isIdle?.()) await from.note({ tick: clock.now() }).catch(() => undefined);
      await clock.sleep(TICK_MS, signal);
    }
  }

  async #until(condition: () => boolean, signal: AbortSignal): Promise<void> {
    for (;;) {
      this.#throwFailure();
      throwIfAborted(signal);
      throwIfAborted(this.#stop.signal);
      if (condition()) return;
      await new Promise<void>((resolve) => {
        const wake = () => {
          this.#waiters.delete(wake);
          signal.removeEventListener('abort', wake);
          resolve();
        };
        this.#waiters.add(wake);
        signal.addEventListener('abort', wake, { once: true });
      });
    }
  }

  get #aheadKey(): string {
    return aheadKey(this.generation.number);
  }

  #readCheckpoint(): ApplyCheckpoint {
    const empty: ApplierMemory = { collections: [], transactions: [] };
    const stored = this.#options.store.get<ApplyCheckpoint>(checkpointKey(this.#options.generation.number));
    return stored ?? { position: POSITION_ZERO, restartFrom: POSITION_ZERO, entries: 0, memory: empty };
  }

  /** Reads the checkpoint again after it was completed outside. */
  reload(): void {
    this.#checkpoint = this.#readCheckpoint();
    this.#collections = collectionsOf(this.#checkpoint);
  }

  #retry(signal: AbortSignal): RetryPolicy {
    const { clock, retryForMs, onFault } = this.#options;
    return { clock, signal, deadlineMs: retryForMs, onRetry: (error) => onFault(error) };
  }

  #fail(error: unknown): void {
    if (this.#stop.signal.aborted || this.#applierStop.signal.aborted) return;
    this.#failure = error;
    this.#wake();
  }

  #throwFailure(): void {
    if (this.#failure !== undefined) throw this.#failure;
  }

  #wake(): void {
    for (const waiter of [...this.#waiters]) waiter();
  }
}

/** The source forgot what was not yet spooled, or the spool is damaged. */
export function isLostLog(error: unknown): boolean {
  return error instanceof GodwitError && (error.code === 'GW4001' || error.code === 'GW4002');
}

function collectionsOf(checkpoint: ApplyCheckpoint): Map<string, TrackedCollection> {
  const memory = checkpoint.memory as ApplierMemory;
  return new Map(memory.collections.map((collection) => [collection.uuid, collection]));
}
