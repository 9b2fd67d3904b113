import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import { failpoint } from '../../../kernel/failpoint.ts';
import type { Applied, LogApplier, LogBlock } from '../../../kernel/ports.ts';
import { laterOf, type Position } from '../../../kernel/position.ts';
import type { Cluster } from '../cluster.ts';
import type { Selection } from '../namespaces.ts';
import { positionOfTimestamp } from '../position.ts';
import type { WireConnection } from '../wire/connection.ts';
import { Batch, type CollectionWork, type Slice } from './batch.ts';
import { forEachOperation, type LogEntry, namespaceText, OP, opName, readEntry } from './entry.ts';
import { ApplyLane } from './lane.ts';
import { refusedByIndex, settleConflicts } from './settle.ts';
import {
  carryOut,
  commandName,
  concernsUs,
  databaseOf,
  meaningOf,
  type StructureContext,
  splitNamespace,
  unknownCommand,
} from './structure-change.ts';
import { type TrackedCollection, TrackedCollections } from './tracked.ts';
import { isPart, type OpenTransaction, operationsAt, Transactions } from './transactions.ts';

const VIEWS_EVERY_MS = 1_000;
/** Changes handed to the lanes at once: enough to merge and to fill messages, few enough to overlap. */
const PORTION = 6_000;

/** The applier's durable memory, in the same commit as its checkpoint. */
export interface ApplierMemory {
  readonly collections: readonly TrackedCollection[];
  readonly transactions: readonly OpenTransaction[];
}

/** A place in the log where the applier waits, everything up to there applied and nothing after. */
export interface Barrier {
  readonly position: Position;
  /** Told that it waits; resolves when the barrier was lifted or moved. */
  arrive(): Promise<void>;
}

export interface ApplierOptions {
  /** Asked when unique keys conflict; without it such a conflict is an error. */
  readonly source?: Cluster;
  readonly target: Cluster;
  readonly selection: Selection;
  readonly lanes: number;
  readonly memory: ApplierMemory;
  /** Entries up to here are passed over: an earlier process has applied them. */
  readonly after: Position;
  /** The structure known holds everything up to here. */
  readonly structureAsOf: Position;
  /** Changes of unknown collections up to here are passed over; by default up to `structureAsOf`. */
  readonly listedBy?: Position;
  /** Entries up to here may have been applied by a process that did not live to say so. */
  readonly fuzzyUntil: Position;
  readonly adopt: (uuid: string, db: string, name: string) => Promise<TrackedCollection>;
  /** Makes the target's views those of the source. */
  readonly reconcileViews: (db: string, target: WireConnection) => Promise<void>;
  readonly onTouched?: (collection: TrackedCollection, key: string, id: Slice, idType: number) => void;
  /** Told of every data or structure change of the chosen namespaces, with its position. */
  readonly onChange?: (namespace: string, position: Position, isDelete: boolean) => void;
  /** Told before documents are put in place that are ahead of the log. */
  readonly beforeSettling?: () => void;
  /** Where to wait, if anywhere; asked before every entry. */
  readonly barrier?: () => Barrier | undefined;
  /** Stops before the first change of structure instead of carrying it out. */
  readonly holdAtStructure?: boolean;
  /** Told before changes up to a position may reach the target, ahead of the step that says they have. */
  readonly onAhead?: (position: Position) => void;
  /** Waits while the run is paused. */
  readonly beforeStep?: () => Promise<void>;
}

/**
 * Applies the oplog to the target. A stretch of data changes becomes a batch,
 * spread over lanes; a change of structure waits for the batch before it, and
 * is a step of its own.
 */
export class OplogApplier implements LogApplier {
  readonly #options: ApplierOptions;
  readonly #tracked: TrackedCollections;
  readonly #transactions: Transactions;
  readonly #lanes: ApplyLane[];
  #reached: Position;
  /** The last change of data that a batch holds, or held. */
  #gathered: Position;
  #memoryChanged = false;
  #batch: Batch;
  /** What each lane was last given, since the last step. */
  readonly #turns: Promise<void>[] = [];
  #entries = 0;
  #wallMs = 0;
  #heldBy: string | undefined;
  /** Databases whose views may differ. They hold no data: looking after them now and then is enough. */
  readonly #viewsChanged: Set<string>;
  #viewsSeenMs = 0;

  private constructor(options: ApplierOptions, lanes: ApplyLane[]) {
    this.#options = options;
    this.#lanes = lanes;
    this.#tracked = TrackedCollections.of(options.memory.collections);
    this.#transactions = new Transactions(options.memory.transactions);
    this.#reached = options.after;
    this.#gathered = options.after;
    this.#batch = this.#newBatch();
    this.#viewsChanged = new Set(options.memory.collections.map((collection) => collection.source.db));
  }

  static async open(options: ApplierOptions, signal: AbortSignal): Promise<OplogApplier> {
    const lanes: ApplyLane[] = [];
    try {
      for (let i = 0; i < options.lanes; i += 1) lanes.push(new ApplyLane(await options.target.connectPrimary(signal)));
    } catch (error) {
      for (const lane of lanes) lane.connection.close();
      throw error;
    }
    return new OplogApplier(options, lanes);
  }

  /** Whether a change of structure stopped it, as asked; nothing is applied after that. */
  get held(): boolean {
    return this.#heldBy !== undefined;
  }

  /** The change that stopped it, in words. */
  get heldBy(): string | undefined {
    return this.#heldBy;
  }

  close(): void {
    for (const lane of this.#lanes) lane.connection.close();
  }

  async *apply(block: LogBlock, signal: AbortSignal): AsyncIterable<Applied> {
    const { bytes } = block;
    const stop = () => this.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      for (let at = 0; at < bytes.length && !this.held; ) {
        const entry = readEntry(bytes, at, true);
        at = entry.end;
        const position = entry.ts as Position;
        if (position <= this.#reached) continue;
        for (let wait = this.#options.barrier?.(); wait && position > wait.position; wait = this.#options.barrier?.()) {
          yield await this.#step(signal);
          await wait.arrive();
          throwIfAborted(signal);
        }
        if (isViewChange(entry)) this.#viewsChanged.add(databaseOf(entry));
        else if (entry.op === OP.command) yield* this.#command(entry, position, signal);
        else this.#data(entry, position);
        if (this.held) break;
        if (this.#batch.changes >= PORTION) {
          await this.#options.beforeStep?.();
          this.#send();
          // The lanes need the event loop to get under way.
          await new Promise((resolve) => setImmediate(resolve));
        }
        this.#entries += 1;
        if (entry.wallMs > this.#wallMs) this.#wallMs = entry.wallMs;
        this.#reached = position;
      }
      yield await this.#step(signal);
    } catch (error) {
      this.close();
      throwIfAborted(signal);
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** A change of a document, alone or inside a transaction. */
  #data(entry: LogEntry, position: Position): void {
    if (entry.op === OP.noop) return;
    if (entry.op !== OP.insert && entry.op !== OP.update && entry.op !== OP.delete) {
      if (!this.#chosen(entry)) return;
      throw unknownCommand(entry, `operation "${opName(entry)}"`);
    }
    if (entry.uuidStart < 0) {
      this.#withoutIdentity(entry, position);
      return;
    }
    const collection = this.#tracked.at(entry.buf, entry.uuidStart);
    if (!collection) {
      this.#untracked(entry, position);
      return;
    }
    if (collection.ghost || position <= collection.skipUntil) return;
    const fuzzy = position <= laterOf(collection.fuzzyUntil, this.#options.fuzzyUntil);
    this.#batch.add(collection, entry, fuzzy);
    this.#gathered = position;
    this.#options.onChange?.(`${collection.source.db}.${collection.source.name}`, position, entry.op === OP.delete);
  }

  #withoutIdentity(entry: LogEntry, position: Position): void {
    if (namespaceText(entry) === 'admin.system.version' && position > this.#options.structureAsOf) {
      throw new GodwitError('GW5003', 'The source changed its feature compatibility version during the run', {
        details: { position },
      });
    }
    if (this.#chosen(entry)) throw unknownCommand(entry, 'a change without the identity of its collection');
  }

  #untracked(entry: LogEntry, position: Position): void {
    if (namespaceText(entry) === 'admin.system.version') this.#withoutIdentity(entry, position);
    // Gone before the structure was listed: its drop lies before that, too.
    const { structureAsOf, listedBy = structureAsOf } = this.#options;
    if (!this.#chosen(entry) || position <= laterOf(structureAsOf, listedBy)) return;
    throw new GodwitError(
      'GW5003',
      `The log changes ${namespaceText(entry)}, a collection whose creation was not seen`,
      {
        details: {
          namespace: namespaceText(entry),
          position,
          uuid: entry.buf.toString('hex', entry.uuidStart, entry.uuidStart + 16),
        },
      },
    );
  }

  #chosen(entry: LogEntry): boolean {
    const { db, collection } = splitNamespace(namespaceText(entry));
    return this.#options.selection.includes(db, collection);
  }

  async *#command(entry: LogEntry, position: Position, signal: AbortSignal): AsyncIterable<Applied> {
    const name = commandName(entry);
    switch (meaningOf(name)) {
      case 'ignore':
        return;
      case 'transaction':
        if (isPart(entry)) {
          this.#transactions.add(entry);
          this.#memoryChanged = true;
        } else
          yield* this.#operations(
            entry,
            [...this.#take(entry), entry.buf.subarray(entry.start, entry.end)],
            position,
            signal,
          );
        return;
      case 'commit':
        yield* this.#operations(entry, this.#take(entry), position, signal);
        return;
      case 'abort':
        this.#take(entry);
        return;
      case 'structure':
        if (position <= this.#options.structureAsOf || !concernsUs(entry, name, this.#structureContext())) return;
        // The views of a database go with it, without a word of their own.
        if (name === 'dropDatabase') this.#viewsChanged.add(databaseOf(entry));
        yield* this.#structure(entry, position, signal, () => carryOut(entry, name, this.#structureContext()));
        if (!this.held) this.#options.onChange?.(namespaceText(entry), position, false);
        return;
      case 'unknown':
        if (this.#concernsDatabase(entry)) throw unknownCommand(entry, name);
    }
  }

  #concernsDatabase(entry: LogEntry): boolean {
    const db = databaseOf(entry);
    return db === 'admin' || this.#options.selection.touchesDatabase(db);
  }

  /** An operation of a transaction; those that hold others are not looked into. */
  #mayChangeStructure(operation: LogEntry, position: Position): boolean {
    if (operation.op !== OP.command || position <= this.#options.structureAsOf) return false;
    const name = commandName(operation);
    return meaningOf(name) === 'transaction' || concernsUs(operation, name, this.#structureContext());
  }

  #take(entry: LogEntry): Buffer[] {
    if (this.#transactions.isEmpty) return [];
    this.#memoryChanged = true;
    return this.#transactions.take(entry);
  }

  /** All operations of a transaction, in order, as of its commit. */
  async *#operations(
    commit: LogEntry,
    parts: readonly Buffer[],
    position: Position,
    signal: AbortSignal,
  ): AsyncIterable<Applied> {
    for (const part of parts) {
      const holder = readEntry(part, 0, false);
      const array = operationsAt(holder);
      if (array < 0) continue;
      const operations: LogEntry[] = [];
      forEachOperation(part, array, (operation) => operations.push(operation));
      const change = this.#options.holdAtStructure && operations.find((one) => this.#mayChangeStructure(one, position));
      if (change) {
        this.#heldBy = wordsOf(change);
        return;
      }
      for (const operation of operations) {
        if (operation.op !== OP.command) {
          this.#data(operation, position);
          continue;
        }
        const name = commandName(operation);
        if (meaningOf(name) === 'transaction') {
          yield* this.#operations(commit, [operation.buf.subarray(operation.start, operation.end)], position, signal);
          continue;
        }
        if (position <= this.#options.structureAsOf || !concernsUs(operation, name, this.#structureContext())) continue;
        if (meaningOf(name) !== 'structure') throw unknownCommand(commit, name);
        // Inside a transaction no checkpoint may be taken: what was gathered is written, and the change follows.
        await this.#write();
        await carryOut(operation, name, this.#structureContext());
        this.#memoryChanged = true;
        throwIfAborted(signal);
      }
    }
  }

  /**
   * A change of structure between two checkpoints: nothing before it is ever
   * repeated after it, and it is not repeated after anything that follows it.
   */
  async *#structure(
    entry: LogEntry,
    position: Position,
    signal: AbortSignal,
    change: () => Promise<void>,
  ): AsyncIterable<Applied> {
    if (this.#options.holdAtStructure) {
      this.#heldBy = wordsOf(entry);
      return;
    }
    if (!this.#batch.isEmpty || this.#turns.length > 0 || this.#memoryChanged) yield await this.#step(signal);
    failpoint('apply.before-structure');
    await change();
    failpoint('apply.after-structure');
    this.#memoryChanged = true;
    this.#reached = position;
    yield await this.#step(signal);
  }

  #structureContext(): StructureContext {
    const { selection, adopt } = this.#options;
    return { target: (this.#lanes[0] as ApplyLane).connection, tracked: this.#tracked, selection, adopt };
  }

  async #step(signal: AbortSignal): Promise<Applied> {
    await this.#options.beforeStep?.();
    failpoint('apply.before-write');
    const writes = await this.#write();
    await this.#reconcileViews();
    const targetPosition = await this.#majority();
    failpoint('apply.after-write');
    throwIfAborted(signal);
    const applied: Applied = {
      position: this.#reached,
      restartFrom: this.#reached,
      targetPosition,
      entries: this.#entries,
      writes,
      committedAtMs: this.#wallMs,
      ...(this.#memoryChanged ? { memory: this.#memory() } : {}),
    };
    this.#memoryChanged = false;
    this.#entries = 0;
    return applied;
  }

  /**
   * Hands what was gathered to the lanes, each of which goes on with it when it
   * is done with what came before: the next portion is read from the log
   * meanwhile. What belongs to one key stays in order, being on one lane.
   */
  #send(): void {
    const batch = this.#batch;
    if (batch.isEmpty) return;
    this.#options.onAhead?.(this.#gathered);
    this.#batch = this.#newBatch();
    this.#lanes.forEach((lane, i) => {
      const works = batch.lanes[i] as Map<TrackedCollection, CollectionWork>;
      const turn = (this.#turns[i] ?? Promise.resolve()).then(() => lane.run(works.values()));
      // A failure is seen where the turns are awaited.
      turn.catch(() => undefined);
      this.#turns[i] = turn;
    });
  }

  /** Waits until everything gathered so far is written; gives the number of writes. */
  async #write(): Promise<number> {
    this.#send();
    if (this.#turns.length === 0) return 0;
    const turns = this.#turns.splice(0);
    await Promise.all(turns);
    await this.#settle();
    return this.#lanes.reduce((sum, lane) => sum + lane.takeWrites(), 0);
  }

  async #reconcileViews(): Promise<void> {
    if (
      this.#options.holdAtStructure ||
      this.#viewsChanged.size === 0 ||
      Date.now() - this.#viewsSeenMs < VIEWS_EVERY_MS
    )
      return;
    for (const db of this.#viewsChanged) {
      if (!this.#options.selection.touchesDatabase(db)) continue;
      await this.#options.reconcileViews(db, (this.#lanes[0] as ApplyLane).connection);
    }
    this.#viewsChanged.clear();
    this.#viewsSeenMs = Date.now();
  }

  async #settle(): Promise<void> {
    const conflicts = this.#lanes.flatMap((lane) => lane.conflicts.splice(0));
    if (conflicts.length === 0) return;
    const { source } = this.#options;
    if (!source) throw refusedByIndex(conflicts);
    this.#options.beforeSettling?.();
    await settleConflicts(conflicts, source, (this.#lanes[0] as ApplyLane).connection);
    this.#memoryChanged = true;
  }

  /** Waits until a majority has all writes; gives the target's time from which they are visible. */
  async #majority(): Promise<Position> {
    const { connection } = this.#lanes[0] as ApplyLane;
    const reply = await connection.run({
      appendOplogNote: 1,
      data: { godwit: 'applied' },
      writeConcern: { w: 'majority', wtimeout: 60_000 },
      $db: 'admin',
    });
    return positionOfTimestamp(reply['operationTime']);
  }

  #memory(): ApplierMemory {
    return { collections: this.#tracked.all().map((c) => ({ ...c })), transactions: this.#transactions.toJSON() };
  }

  #newBatch(): Batch {
    return new Batch(this.#lanes.length, this.#options.onTouched);
  }
}

/** Views live as documents of `system.views`; any change of one means: look at the views again. */
function isViewChange(entry: LogEntry): boolean {
  if (entry.nsEnd - entry.nsStart < 13 || entry.op === OP.command || entry.op === OP.noop) return false;
  return entry.buf.toString('latin1', entry.nsEnd - 13, entry.nsEnd) === '.system.views';
}

function wordsOf(command: LogEntry): string {
  return `${commandName(command)} in ${databaseOf(command)}`;
}
