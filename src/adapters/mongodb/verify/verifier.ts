import { serialize } from 'bson';
import { throwIfAborted } from '../../../kernel/errors.ts';
import type { Chunk, ChunkProgress, ChunkVerdict, ChunkVerifier, Drift } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import type { Cluster } from '../cluster.ts';
import { serverCodeOf } from '../errors.ts';
import { type Lane, LanePool } from '../lane-pool.ts';
import type { TrackedCollection } from '../log/tracked.ts';
import { findChunk, isNatural } from '../partition.ts';
import { timestampOf } from '../position.ts';
import { compareNatural } from './compare-natural.ts';
import { compareStreams, type StreamVerdict } from './compare-streams.ts';
import { DocStream } from './doc-stream.ts';

/**
 * A moment at which both sides are the same if nothing is wrong: all log
 * entries up to `source` are visible on the target at `target`, and no later
 * one is.
 */
export interface Moment {
  readonly source: Position;
  readonly target: Position;
}

export interface VerifierOptions {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly readFrom: 'primary' | 'secondary';
  /** The latest moment. */
  readonly moment: () => Promise<Moment>;
  /** What the log knows of a collection now; undefined when it is gone. */
  readonly collection: (uuid: string) => TrackedCollection | undefined;
  /** Waits until everything at the source now is applied: between two looks at what differs. */
  readonly settle: (signal: AbortSignal) => Promise<void>;
  /** Nothing is written on either side any more: order-sensitive collections must then be equal exactly. */
  readonly still: () => boolean;
}

const GONE = 26;
/** A difference must be seen at so many moments before it counts: structure may change between them. */
const LOOKS = 3;
const WHOLE_REPLY = 0x7fffffff;

/**
 * Compares both sides as of one moment by snapshot reads: the source at the
 * position applied, the target at the time from which that is visible there.
 * Writes going on meanwhile are invisible to both, so that what differs is
 * wrong and not late, and there are no false alarms to sort out afterwards.
 */
export class MongoVerifier implements ChunkVerifier {
  readonly #options: VerifierOptions;
  readonly #lanes: LanePool;

  constructor(options: VerifierOptions) {
    this.#options = options;
    this.#lanes = new LanePool(options);
  }

  verify(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<ChunkVerdict> {
    return this.#lanes.use(signal, (lane) => this.#look(lane, chunk, progress, signal));
  }

  close(): void {
    this.#lanes.close();
  }

  async #look(lane: Lane, chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<ChunkVerdict> {
    let verdict = await this.#once(lane, chunk, progress, signal);
    let lasting = verdict.drift;
    for (let look = 1; look < LOOKS && lasting.length > 0; look += 1) {
      await this.#options.settle(signal);
      verdict = await this.#once(lane, chunk, () => undefined, signal);
      // As of one moment, a document that is written between two looks shows other digests and differs all the same.
      // Where the two sides cannot be read so, only what stays exactly as it was counts.
      const exact = !isNatural(chunk.bounds) || this.#options.still();
      const mark = exact ? placeOf : signatureOf;
      const before = new Set(lasting.map(mark));
      lasting = verdict.drift.filter((drift) => before.has(mark(drift)));
    }
    return { docs: verdict.docs, bytes: verdict.bytes, drift: lasting };
  }

  async #once(lane: Lane, chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<StreamVerdict> {
    const empty: StreamVerdict = { docs: 0, bytes: 0, drift: [], truncated: false };
    const collection = this.#options.collection(chunk.unit);
    if (!collection || collection.ghost) return empty;
    const target = { db: collection.target.db, name: collection.target.collection };
    const source = { ...collection.source, uuid: collection.uuid };
    const unit = `${collection.source.db}.${collection.source.name}`;
    try {
      if (isNatural(chunk.bounds)) return await this.#natural(lane, chunk, unit, source, target, progress, signal);
      const moment = await this.#options.moment();
      const read = { batchSize: WHOLE_REPLY };
      const left = new DocStream(
        lane.source,
        findChunk(chunk.bounds, source, { ...read, readConcern: snapshotAt(moment.source) }),
        source,
      );
      const right = new DocStream(
        lane.target,
        findChunk(chunk.bounds, target, { ...read, readConcern: snapshotAt(moment.target) }),
        target,
      );
      try {
        return await compareStreams(unit, left, right, !collection.sequential || collection.capped, progress);
      } finally {
        left.release();
        right.release();
      }
    } catch (error) {
      // Dropped meanwhile; whether the target follows is seen by the comparison of structure.
      if (serverCodeOf(error) === GONE) return empty;
      throw error;
    }
  }

  /** Capped collections cannot be read as of a moment: their order is compared, and at standstill everything. */
  async #natural(
    lane: Lane,
    chunk: Chunk,
    unit: string,
    source: { db: string; name: string; uuid: string },
    target: { db: string; name: string },
    progress: ChunkProgress,
    signal: AbortSignal,
  ): Promise<StreamVerdict> {
    const readConcern = Buffer.from(serialize({ level: 'majority' }));
    const read = { batchSize: WHOLE_REPLY, readConcern };
    // The target first: what it holds then, the source has held before.
    const right = new DocStream(lane.target, findChunk(chunk.bounds, target, read), target);
    await right.next();
    const left = new DocStream(lane.source, findChunk(chunk.bounds, source, read), source);
    await left.next();
    throwIfAborted(signal);
    try {
      return await compareNatural(unit, left, right, this.#options.still(), progress);
    } finally {
      left.release();
      right.release();
    }
  }
}

/** The read concern that reads as of a position. */
export function snapshotAt(position: Position): Buffer {
  return Buffer.from(serialize({ level: 'snapshot', atClusterTime: timestampOf(position) }));
}

function placeOf(drift: Drift): string {
  return drift.key;
}

function signatureOf(drift: Drift): string {
  return `${drift.kind} ${drift.key} ${drift.sourceDigest ?? ''} ${drift.targetDigest ?? ''}`;
}
