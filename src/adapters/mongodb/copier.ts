import { serialize } from 'bson';
import { GodwitError } from '../../kernel/errors.ts';
import { failpoint } from '../../kernel/failpoint.ts';
import type { Chunk, ChunkCopier, ChunkProgress } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import type { Throttle } from '../../kernel/throttle.ts';
import type { CollectionSpec } from './catalog.ts';
import type { Cluster } from './cluster.ts';
import { serverCodeOf } from './errors.ts';
import { type Lane, LanePool } from './lane-pool.ts';
import { findChunk, isNatural } from './partition.ts';
import { createCollection, dropCollection } from './structure.ts';
import { commandDoc, type WireReply } from './wire/connection.ts';
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
}

const MAJORITY = Buffer.from(serialize({ level: 'majority' }));
/** Larger than any reply can hold: batches are then bounded by bytes (16 MB), not by count. */
const WHOLE_REPLY = 0x7fffffff;

/** The collection does not exist any more, or its cursor died of that. */
const GONE = new Set([26, 13128]);

/**
 * The byte lane: a reply of the source, its framing squeezed out in place,
 * becomes the document sequence of an insert into the target, while the next
 * reply is on its way. Documents are never decoded.
 *
 * Invariants: at most two replies per lane are in memory; a chunk counts as
 * copied only after its last message was acknowledged by a majority, which
 * includes every message before it on the same connection.
 */
export class MongoCopier implements ChunkCopier {
  readonly #options: CopierOptions;
  readonly #lanes: LanePool;

  constructor(options: CopierOptions) {
    this.#options = options;
    this.#lanes = new LanePool({
      ...options,
      prepare: (from, signal) => options.source.waitForMajority(from, options.notBefore, signal),
    });
  }

  copy(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void> {
    return this.#lanes.use(signal, async (lane) => {
      if (isNatural(chunk.bounds)) await this.#prepareNatural(lane, chunk, signal);
      await this.#pump(lane, chunk, progress, signal);
    });
  }

  /** Closes the connections that wait for work. */
  close(): void {
    this.#lanes.close();
  }

  /**
   * A capped collection is read in one go, in its own order. What was written
   * of it before a restart cannot be gone on with, so it begins empty; and the
   * log must know from where on it has to be replayed.
   */
  async #prepareNatural(lane: Lane, chunk: Chunk, signal: AbortSignal): Promise<void> {
    const { spec, target } = this.#options.unit(chunk.unit);
    const start = await this.#options.source.note({ copy: 'start' });
    await this.#options.source.waitForMajority(lane.source, start, signal);
    this.#options.rememberStart(chunk.unit, start);
    await dropCollection(lane.target, target);
    await createCollection(lane.target, target, spec);
  }

  async #pump(lane: Lane, chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void> {
    const { spec, target } = this.#options.unit(chunk.unit);
    const ordered = isNatural(chunk.bounds);
    const find = findChunk(chunk.bounds, spec, { readConcern: MAJORITY, batchSize: WHOLE_REPLY });
    let pending: Promise<WireReply> | undefined = lane.source.request(find);
    failpoint('copy.chunk.before-first-write');
    while (pending) {
      const reply: WireReply = await pending;
      pending = undefined;
      try {
        const batch = sliceOrGone(reply.body, spec);
        if (!batch) return;
        const last = batch.cursorId === 0n;
        if (!last) {
          pending = lane.source.request(
            commandDoc({ getMore: batch.cursorId, collection: batch.collection ?? spec.name, $db: spec.db }),
          );
          // The failure is seen where it is awaited; until then it must not count as unhandled.
          pending.catch(() => undefined);
        }
        await this.#options.throttle.take(batch.docs.length, signal);
        await insertDocuments(lane.target, target, batch.docs, batch.count, { ordered, majority: last });
        await repairZeroTimestamps(lane.target, target, batch.docs);
        failpoint('copy.chunk.after-write');
        progress(batch.count, batch.docs.length);
      } finally {
        reply.release();
      }
    }
  }
}

function sliceOrGone(body: Buffer, spec: CollectionSpec): ReturnType<typeof sliceBatch> | undefined {
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
