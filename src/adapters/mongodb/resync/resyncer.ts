import { randomBytes } from 'node:crypto';
import { serialize } from 'bson';
import { failpoint } from '../../../kernel/failpoint.ts';
import { inLanes } from '../../../kernel/lanes.ts';
import type { Chunk, ChunkCopier, ChunkProgress } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import type { Throttle } from '../../../kernel/throttle.ts';
import type { CollectionSpec } from '../catalog.ts';
import type { Cluster } from '../cluster.ts';
import { type CopyUnit, MongoCopier } from '../copier.ts';
import { serverCodeOf } from '../errors.ts';
import { type Lane, LanePool } from '../lane-pool.ts';
import { findChunk, isNatural, isScan, planChunks } from '../partition.ts';
import { PieceSize } from '../piece-size.ts';
import { Aside, type AsideRow } from '../verify/aside.ts';
import { DocStream } from '../verify/doc-stream.ts';
import { inPortions, mergeStreams } from '../verify/merge-streams.ts';
import type { RawKey } from '../verify/recheck.ts';
import { type TargetName, waitForMajority } from '../write.ts';
import { RepairBatch, type RepairedCollection, type ResyncFindings } from './repair-batch.ts';
import { sameOrder } from './same-order.ts';
import { foldAll } from './scan.ts';
import { Sketch } from './sketch.ts';

export interface ResyncerOptions {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly readFrom: 'primary' | 'secondary';
  readonly unit: (uuid: string) => CopyUnit;
  /** Reads of the source see at least everything up to here. */
  readonly notBefore: Position;
  readonly throttle: Throttle;
  /** Keeps from which position an order-sensitive collection holds, durably. */
  readonly rememberStart: (uuid: string, position: Position) => void;
  /** Told of what was put right, once it is durable. */
  readonly onRepaired: (spec: CollectionSpec, found: ResyncFindings) => void;
  /** Told of a collection that had to be copied as a whole. */
  readonly onRecopied: (spec: CollectionSpec) => void;
}

const MAJORITY = Buffer.from(serialize({ level: 'majority' }));
const KEYS_PER_READ = 1_000;
/** A scan can tell so large a share of the documents; beyond, nothing is saved by it. */
const TOLD_SHARE = 0.02;
const RANGE_BYTES = 128 * 1024 * 1024;
/** Connections that write repairs at once. */
const REPAIR_LANES = 4;
/** The collection does not exist any more, or its cursor died of that. */
const GONE = new Set([26, 13128]);

/**
 * Makes a target that holds an old state of the source equal to it again: a
 * copier whose target is nearly right already. Three ways, by the bounds of the
 * chunk:
 *
 * - *scan*: both sides are read in the order on disk, at a quarter of what
 *   reading in the order of random keys costs a server. Digests of the documents
 *   are folded into a sketch, from which the keys of those that differ can be
 *   told; they are compared by their bytes. Where too much differs, or keys are
 *   long, the collection is gone through in ranges instead.
 * - *range*: both sides' bytes are merged in `_id` order.
 * - *natural*, where order is meaning: compared in that order, and copied as a
 *   whole when anything is different.
 *
 * Digests of ranges of keys would not do: one changed document in a hundred,
 * spread evenly, is in every range of more than a few hundred (see DESIGN.md).
 * Memory: two replies a side and one batch of repairs a lane; a scan's sketch,
 * at most 25 MB.
 *
 * When `copy` returns, every document of the chunk was seen at the target with
 * the bytes (or their digest) that the source had when it was read, at or after
 * `notBefore`, or was written and read back. The log since then has the later word.
 */
export class MongoResyncer implements ChunkCopier {
  readonly #options: ResyncerOptions;
  readonly #lanes: LanePool;
  readonly #copier: MongoCopier;

  constructor(options: ResyncerOptions) {
    this.#options = options;
    this.#copier = new MongoCopier(options);
    this.#lanes = new LanePool({
      ...options,
      prepare: (from, signal) => options.source.waitForMajority(from, options.notBefore, signal),
    });
  }

  async copy(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void> {
    if (isScan(chunk.bounds)) {
      if (!(await this.#scan(chunk, progress, signal))) await this.#repairRanges(chunk, progress, signal);
      return;
    }
    if (!isNatural(chunk.bounds)) {
      await this.#lanes.use(signal, (lane) => this.#repair(lane, chunk, progress, signal));
      return;
    }
    if (await this.#lanes.use(signal, (lane) => this.#sameOrder(lane, chunk, progress, signal))) return;
    this.#options.onRecopied(this.#options.unit(chunk.unit).spec);
    await this.#copier.copy(chunk, progress, signal);
  }

  close(): void {
    this.#lanes.close();
    this.#copier.close();
  }

  /** False when more differs than can be told by a scan, or keys are too long for it. */
  async #scan(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<boolean> {
    const { spec, target } = this.#options.unit(chunk.unit);
    const sketch = new Sketch(chunk.docs * TOLD_SHARE * 2);
    const seed = randomBytes(8).readBigUInt64LE();
    let [docs, bytes] = [0, 0];
    const count: ChunkProgress = (moreDocs, moreBytes) => {
      docs += moreDocs;
      bytes += moreBytes;
      progress(moreDocs, moreBytes);
    };
    const fits = await this.#lanes.use(signal, async (lane) => {
      await waitForMajority(lane.target);
      const { left, right } = this.#open(lane, chunk, signal);
      try {
        const both = await Promise.all([
          foldAll(left, sketch, 1, seed, count),
          foldAll(right, sketch, -1, seed, () => undefined),
        ]);
        return both.every((each) => each);
      } catch (error) {
        if (GONE.has(serverCodeOf(error) ?? 0)) return undefined;
        throw error;
      } finally {
        left.release();
        right.release();
      }
    });
    if (fits === undefined) return true;
    const keys = fits ? sketch.list() : undefined;
    if (!keys) {
      progress(-docs, -bytes);
      return false;
    }
    failpoint('resync.after-scan');
    const parts = new Map(keys.map((key) => [key.toString('latin1'), key]));
    await this.#repairKeys(spec, target, [...parts.values()], signal);
    return true;
  }

  /** The collection piece by piece in `_id` order. */
  async #repairRanges(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void> {
    const { spec } = this.#options.unit(chunk.unit);
    const connection = await this.#options.source.connectPrimary(signal);
    let ranges: Awaited<ReturnType<typeof planChunks>>;
    try {
      ranges = await planChunks(this.#options.source, connection, spec, RANGE_BYTES);
    } finally {
      connection.close();
    }
    await inLanes(ranges, REPAIR_LANES, signal, (range, lanesSignal) =>
      this.#lanes.use(lanesSignal, (lane) => this.#repair(lane, { ...range, id: chunk.id }, progress, lanesSignal)),
    );
  }

  /** Compares the documents of some keys by their bytes, and puts right what differs. */
  async #repairKeys(
    spec: CollectionSpec,
    target: TargetName,
    keys: readonly RawKey[],
    signal: AbortSignal,
  ): Promise<void> {
    const collection: RepairedCollection = { uuid: spec.uuid, source: { db: spec.db, name: spec.name }, target };
    const parts: RawKey[][] = [];
    for (let i = 0; i < keys.length; i += KEYS_PER_READ) parts.push(keys.slice(i, i + KEYS_PER_READ));
    await inLanes(parts, REPAIR_LANES, signal, (part, lanesSignal) =>
      this.#lanes.use(lanesSignal, async (lane) => {
        const batch = new RepairBatch(collection, this.#options.source, lane);
        const found = await batch.compare(part);
        await batch.flush();
        this.#options.onRepaired(spec, found);
      }),
    );
    failpoint('resync.chunk.before-done');
  }

  async #repair(lane: Lane, chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void> {
    const { spec, target } = this.#options.unit(chunk.unit);
    const collection: RepairedCollection = { uuid: spec.uuid, source: { db: spec.db, name: spec.name }, target };
    const batch = new RepairBatch(collection, this.#options.source, lane);
    const found = { missing: 0, extra: 0, different: 0 };
    const aside = spec.collated ? new Aside() : undefined;
    const pairs: AsideRow[] = [];
    const keep = (row: AsideRow | undefined) => void (row && pairs.push(row));
    const flushIfFull = () => (batch.isFull ? batch.flush() : undefined);
    // What an earlier process wrote and a fail-over may take back must not be seen.
    await waitForMajority(lane.target);
    const { left, right } = this.#open(lane, chunk, signal);
    const tell = inPortions(progress);
    try {
      await mergeStreams(
        left,
        right,
        aside === undefined,
        {
          missing: (stream) => {
            if (aside) return keep(aside.add(stream, 'missing'));
            found.missing += 1;
            batch.put(stream);
            return flushIfFull();
          },
          extra: (stream) => {
            if (aside) return keep(aside.add(stream, 'extra'));
            found.extra += 1;
            batch.remove(stream);
            return flushIfFull();
          },
          different: (a, b) => {
            found.different += 1;
            batch.remove(b);
            batch.put(a);
            return flushIfFull();
          },
        },
        tell.passed,
      );
    } catch (error) {
      // Dropped while it was compared: the log has the drop.
      if (!GONE.has(serverCodeOf(error) ?? 0)) throw error;
    } finally {
      left.release();
      right.release();
    }
    await batch.flush();
    if (aside) {
      // Under a collation only the keys were kept of what had no partner at its place.
      const keys = [...pairs, ...aside.rest()].map(({ key }) => key);
      for (let i = 0; i < keys.length; i += KEYS_PER_READ) {
        add(found, await batch.compare(keys.slice(i, i + KEYS_PER_READ)));
        await batch.flush();
      }
    }
    failpoint('resync.chunk.before-done');
    tell.rest();
    this.#options.onRepaired(spec, found);
  }

  #open(lane: Lane, chunk: Chunk, signal: AbortSignal): { left: DocStream; right: DocStream } {
    const { throttle, unit } = this.#options;
    const { spec, target } = unit(chunk.unit);
    const names = { db: target.db, name: target.collection };
    const read = { readConcern: MAJORITY, batchSize: new PieceSize(throttle).documents() };
    // The source alone is spared: it is the neighbours' server.
    const left = new DocStream(lane.source, findChunk(chunk.bounds, spec, read), spec, { throttle, signal });
    const right = new DocStream(lane.target, findChunk(chunk.bounds, names, read), names);
    return { left, right };
  }

  /**
   * Whether the target has a collection whose order is its meaning exactly as
   * the source has it. If so, that is remembered with the position from which
   * on the log has to be applied to it.
   */
  async #sameOrder(lane: Lane, chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<boolean> {
    const { source, rememberStart } = this.#options;
    const start = await source.note({ resync: 'start' });
    await source.waitForMajority(lane.source, start, signal);
    await waitForMajority(lane.target);
    const { left, right } = this.#open(lane, chunk, signal);
    try {
      const { same, docs, bytes } = await sameOrder(left, right);
      if (!same) return false;
      rememberStart(chunk.unit, start);
      progress(docs, bytes);
      return true;
    } catch (error) {
      if (GONE.has(serverCodeOf(error) ?? 0)) return true;
      throw error;
    } finally {
      left.release();
      right.release();
    }
  }
}

function add(sum: { missing: number; extra: number; different: number }, more: ResyncFindings): void {
  sum.missing += more.missing;
  sum.extra += more.extra;
  sum.different += more.different;
}
