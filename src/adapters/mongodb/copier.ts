import { serialize } from 'bson';
import { GodwitError } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { Chunk, ChunkCopier, ChunkProgress } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import type { Throttle } from '../../kernel/throttle.ts';
import { type CollectionSpec, describeByUuid } from './catalog.ts';
import type { Cluster } from './cluster.ts';
import { serverCodeOf } from './errors.ts';
import { type Lane, LanePool } from './lane-pool.ts';
import { findChunk, isNatural } from './partition.ts';
import { PieceSize, WHOLE_REPLY } from './piece-size.ts';
import { createCollection, dropCollection } from './structure.ts';
import { snapshotAt } from './verify/verifier.ts';
import { commandDoc, type WireConnection, type WireReply } from './wire/connection.ts';
import { sliceBatch } from './wire/cursor-batch.ts';
import { insertDocuments } from './write.ts';
import { repairZeroTimestamps } from './zero-timestamps.ts';

/** What the copier needs to know of a collection. */
export interface CopyUnit {
  readonly spec: CollectionSpec;
  readonly target: { readonly db: string; readonly collection: string };
}

export interface CopierOptions {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly readFrom: 'primary' | 'secondary';
  readonly unit: (uuid: string) => CopyUnit;
  /** Reads see at least everything up to here. */
  readonly notBefore: Position;
  readonly throttle: Throttle;
  /** Keeps from which position a natural-order copy holds, durably, before the copy begins. */
  readonly rememberStart: (uuid: string, position: Position) => void;
  /** A member that stands still, while it does: chunks are then read from it as of its time point. */
  readonly still?: () => StillMember | undefined;
  /** Told before a chunk is read as of which time point that is; undefined: as the documents are by then. */
  readonly onRead?: (timePoint: Position | undefined) => void;
}

/** A member of the source that stands still. */
export interface StillMember {
  readonly timePoint: Position;
  connect(signal?: AbortSignal): Promise<WireConnection>;
  /** Throws a passing fault unless it has stood still from the time point until now. */
  assertHeld(): Promise<void>;
}

const MAJORITY = Buffer.from(serialize({ level: 'majority' }));
const LOCAL = Buffer.from(serialize({ level: 'local' }));

/** Gives the reply to a request that was or will be sent. */
type Ask = () => Promise<WireReply>;

/** The collection does not exist any more, or its cursor died of that. */
const GONE = new Set([26, 13128]);

/**
 * The byte lane: a reply of the source, its framing squeezed out in place,
 * becomes the document sequence of an insert into the target, while the next
 * reply is on its way. Documents are never decoded. While the rate is limited
 * for the neighbours' sake, pieces are small and moved one at a time.
 *
 * Invariants: at most two replies per lane are in memory; a chunk counts as
 * copied only after its last message was acknowledged by a majority, which
 * includes every message before it on the same connection.
 */
export class MongoCopier implements ChunkCopier {
  readonly #options: CopierOptions;
  readonly #lanes: LanePool;
  #still: { readonly member: StillMember; readonly lanes: LanePool } | undefined;

  constructor(options: CopierOptions) {
    this.#options = options;
    this.#lanes = new LanePool({
      ...options,
      prepare: (from, signal) => options.source.waitForMajority(from, options.notBefore, signal),
    });
  }

  copy(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void> {
    const still = this.#stillLanes();
    this.#options.onRead?.(still?.member.timePoint);
    return (still?.lanes ?? this.#lanes).use(signal, (lane) =>
      isNatural(chunk.bounds)
        ? this.#copyNatural(lane, chunk, still?.member, progress, signal)
        : this.#pump(lane, chunk, still ? snapshotAt(still.member.timePoint) : MAJORITY, progress, signal),
    );
  }

  /** Closes the connections that wait for work. */
  close(): void {
    this.#lanes.close();
    this.#still?.lanes.close();
  }

  /** Lanes that begin at the member which stands still, if there is one now. */
  #stillLanes() {
    const member = this.#options.still?.();
    if (member !== this.#still?.member) {
      this.#still?.lanes.close();
      const { source, target, readFrom } = this.#options;
      const connectSource = (signal: AbortSignal) => (member as StillMember).connect(signal);
      this.#still = member && { member, lanes: new LanePool({ source, target, readFrom, connectSource }) };
    }
    return this.#still;
  }

  /**
   * A capped collection is read in one go, in its own order. What was written
   * of it before a restart cannot be gone on with, so it begins empty; and the
   * log must know from where on it has to be replayed.
   *
   * It is made with the limits that the source has now, not with those of the
   * listing: under lower ones the target would drop documents while it is being
   * filled. Should they have changed in the meantime, the copy begins again.
   */
  async #copyNatural(
    lane: Lane,
    chunk: Chunk,
    still: StillMember | undefined,
    progress: ChunkProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const { spec, target } = this.#options.unit(chunk.unit);
    for (;;) {
      const start = still?.timePoint ?? (await this.#options.source.note({ copy: 'start' }));
      if (!still) await this.#options.source.waitForMajority(lane.source, start, signal);
      this.#options.rememberStart(chunk.unit, start);
      const present = (await describeByUuid(lane.source, spec.db, chunk.unit)) ?? spec;
      await dropCollection(lane.target, target);
      await createCollection(lane.target, target, present);
      let [docs, bytes] = [0, 0];
      const count: ChunkProgress = (moreDocs, moreBytes) => {
        docs += moreDocs;
        bytes += moreBytes;
        progress(moreDocs, moreBytes);
      };
      // There are no snapshots of it: what holds its time point is that nothing is written.
      await this.#pump(lane, chunk, still ? LOCAL : MAJORITY, count, signal);
      await still?.assertHeld();
      const after = (await describeByUuid(lane.source, spec.db, chunk.unit)) ?? present;
      if (after.options.equals(present.options)) return;
      progress(-docs, -bytes);
    }
  }

  async #pump(
    lane: Lane,
    chunk: Chunk,
    readConcern: Buffer,
    progress: ChunkProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const { throttle, unit } = this.#options;
    const { spec } = unit(chunk.unit);
    const piece = new PieceSize(throttle);
    const find = findChunk(chunk.bounds, spec, { readConcern, batchSize: piece.documents() });
    let ask: Ask | undefined = this.#asking(lane, find);
    failpoint('copy.chunk.before-first-write');
    while (ask) {
      const reply: Ask = ask;
      ask = await throttle.turn(() => this.#movePiece(lane, chunk, piece, reply, progress, signal));
    }
  }

  /** From one reply into one insert. Gives how to get the next reply; undefined at the end. */
  async #movePiece(
    lane: Lane,
    chunk: Chunk,
    piece: PieceSize,
    ask: Ask,
    progress: ChunkProgress,
    signal: AbortSignal,
  ): Promise<Ask | undefined> {
    const { spec, target } = this.#options.unit(chunk.unit);
    const reply = await ask();
    try {
      const batch = sliceOrGone(reply.body, spec);
      if (!batch) return undefined;
      const { docs, count, cursorId } = batch;
      const last = cursorId === 0n;
      piece.saw(count, docs.length);
      const next = last
        ? undefined
        : this.#asking(lane, getMore(cursorId, batch.collection ?? spec.name, spec.db, piece.documents()));
      await this.#options.throttle.take(docs.length, signal);
      await insertDocuments(lane.target, target, docs, count, { ordered: isNatural(chunk.bounds), majority: last });
      await repairZeroTimestamps(lane.target, target, docs);
      failpoint('copy.chunk.after-write');
      progress(count, docs.length);
      return next;
    } finally {
      reply.release();
    }
  }

  /** Asks at once, so that source and target work side by side; under a limit only when the reply is wanted. */
  #asking(lane: Lane, request: Buffer): Ask {
    if (this.#options.throttle.isLimited) return () => lane.source.request(request);
    const reply = lane.source.request(request);
    // The failure is seen where it is awaited; until then it must not count as unhandled.
    reply.catch(() => undefined);
    return () => reply;
  }
}

export function getMore(cursor: bigint, collection: string, db: string, documents: number): Buffer {
  const size = documents === WHOLE_REPLY ? {} : { batchSize: documents };
  return commandDoc({ getMore: cursor, collection, ...size, $db: db });
}

/** The documents of a reply; undefined when the collection is gone. */
export function sliceOrGone(body: Buffer, spec: CollectionSpec): ReturnType<typeof sliceBatch> | undefined {
  try {
    return sliceBatch(body);
  } catch (error) {
    // Dropped while it was copied: the log has the drop.
    const code = serverCodeOf(error);
    if (code !== undefined && GONE.has(code)) return undefined;
    if (error instanceof GodwitError) throw error;
    throw new GodwitError('GW9001', `Reading ${spec.db}.${spec.name} gave something that is not a batch`, {
      cause: error,
    });
  }
}
