import { EJSON, serialize } from 'bson';
import type { Clock } from '../../../kernel/clock.ts';
import { throwIfAborted } from '../../../kernel/errors.ts';
import type { Chunk, ChunkProgress, Drift } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import { idKey } from '../bson/compare.ts';
import type { Cluster } from '../cluster.ts';
import { serverCodeOf } from '../errors.ts';
import { type Lane, LanePool } from '../lane-pool.ts';
import type { TrackedCollection } from '../log/tracked.ts';
import { findChunk, isNatural } from '../partition.ts';
import { WHOLE_REPLY } from '../piece-size.ts';
import { waitForMajority } from '../write.ts';
import { Aside, type AsideRow, keyAt } from './aside.ts';
import { compareNatural } from './compare-natural.ts';
import { digestOf } from './digest.ts';
import { DocStream } from './doc-stream.ts';
import { type Judged, judgeByLog, judgeByValues } from './judge.ts';
import { inPortions, mergeStreams } from './merge-streams.ts';
import type { PendingChanges } from './pending.ts';
import { type RawKey, readByKeys } from './recheck.ts';
import { type Moment, snapshotAt } from './verifier.ts';

export interface DetectorOptions {
  readonly source: Cluster;
  readonly target: Cluster;
  readonly readFrom: 'primary' | 'secondary';
  readonly collection: (uuid: string) => TrackedCollection | undefined;
  /** The latest moment at which both sides hold the same, if there was any. */
  readonly moment: () => Moment | undefined;
  /** The target may hold changes of a collection up to here already. */
  readonly aheadTo: (collection: TrackedCollection) => Position;
  /** Nothing is applied at the moment, so that no later moment will come. */
  readonly isHeld: () => boolean;
  readonly clock: Clock;
  /** What the log holds that was not applied when the detection began, up to all that the source has shown by now. */
  readonly pending: (signal: AbortSignal) => Promise<PendingChanges>;
}

export interface Detection {
  readonly docs: number;
  readonly bytes: number;
  readonly judged: readonly Judged[];
  /** More differs than was looked at. */
  readonly truncated: boolean;
}

/** A key that differs between both sides as they are now. */
export interface Candidate extends AsideRow {
  readonly unit: string;
}

const GONE = 26;
const MOST_CANDIDATES = 5_000;
const KEYS_PER_READ = 1_000;
/** The server keeps old states for some minutes only; or the collection cannot be read so at all. */
const NO_SNAPSHOT = new Set([239, 246]);
/** A step of the applier is rarely longer; behind by more, no moment is waited for. */
const LONGEST_STEP_MS = 5_000;
const POLL_MS = 50;
const MAJORITY = Buffer.from(serialize({ level: 'majority' }));

/**
 * Compares both sides as they are now, while the log is behind, and lets the
 * log decide what a difference means. It is *late* when the target holds what
 * the source held at the position applied, and a change after that position is
 * in the log; everything else is *wrong*.
 */
export class SyncDetector {
  readonly #options: DetectorOptions;
  readonly #lanes: LanePool;

  constructor(options: DetectorOptions) {
    this.#options = options;
    this.#lanes = new LanePool(options);
  }

  detect(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<Detection> {
    return this.#lanes.use(signal, (lane) => this.#detect(lane, chunk, progress, signal));
  }

  close(): void {
    this.#lanes.close();
  }

  async #detect(lane: Lane, chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<Detection> {
    const empty: Detection = { docs: 0, bytes: 0, judged: [], truncated: false };
    const collection = this.#options.collection(chunk.unit);
    if (!collection || collection.ghost) return empty;
    const tell = inPortions(progress);
    let [docs, bytes] = [0, 0];
    const passed = (moreDocs: number, moreBytes: number) => {
      docs += moreDocs;
      bytes += moreBytes;
      tell.passed(moreDocs, moreBytes);
    };
    try {
      await waitForMajority(lane.target);
      const all = isNatural(chunk.bounds)
        ? await this.#inOrder(lane, chunk, collection, passed)
        : await this.#byKey(lane, chunk, collection, passed);
      tell.rest();
      const candidates = all.slice(0, MOST_CANDIDATES);
      const judged = candidates.length === 0 ? [] : await this.#judge(lane, chunk, collection, candidates, signal);
      return { docs, bytes, judged, truncated: candidates.length < all.length };
    } catch (error) {
      // Dropped meanwhile: that is in the log as well.
      if (serverCodeOf(error) === GONE) return empty;
      throw error;
    }
  }

  #open(lane: Lane, chunk: Chunk, collection: TrackedCollection): { left: DocStream; right: DocStream } {
    const target = { db: collection.target.db, name: collection.target.collection };
    const source = { ...collection.source, uuid: collection.uuid };
    const read = { batchSize: WHOLE_REPLY, readConcern: MAJORITY };
    return {
      left: new DocStream(lane.source, findChunk(chunk.bounds, source, read), source),
      right: new DocStream(lane.target, findChunk(chunk.bounds, target, read), target),
    };
  }

  async #byKey(
    lane: Lane,
    chunk: Chunk,
    collection: TrackedCollection,
    passed: ChunkProgress,
  ): Promise<readonly Candidate[]> {
    const unit = unitOf(collection);
    const ordered = !collection.sequential;
    const found: Candidate[] = [];
    const keep = (row: AsideRow | undefined) => {
      // One more than is looked at tells that there are more.
      if (row && found.length <= MOST_CANDIDATES) found.push({ ...row, unit });
    };
    const aside = new Aside();
    const { left, right } = this.#open(lane, chunk, collection);
    try {
      await mergeStreams(
        left,
        right,
        ordered,
        {
          missing: (stream) => keep(ordered ? oneSided('missing', stream) : aside.add(stream, 'missing')),
          extra: (stream) => keep(ordered ? oneSided('extra', stream) : aside.add(stream, 'extra')),
          different: (a, b) =>
            keep({
              kind: 'different',
              key: keyAt(a.buf, a.start).key,
              sourceDigest: digestAt(a),
              targetDigest: digestAt(b),
            }),
        },
        passed,
      );
    } finally {
      left.release();
      right.release();
    }
    for (const row of aside.rest()) keep(row);
    return found;
  }

  async #inOrder(
    lane: Lane,
    chunk: Chunk,
    collection: TrackedCollection,
    passed: ChunkProgress,
  ): Promise<readonly Candidate[]> {
    const { left, right } = this.#open(lane, chunk, collection);
    try {
      await left.next();
      await right.next();
      const { drift } = await compareNatural(unitOf(collection), left, right, false, passed);
      return drift.map((row) => ({ ...row, kind: row.kind as Candidate['kind'], key: keyOfText(row.key) }));
    } finally {
      left.release();
      right.release();
    }
  }

  async #judge(
    lane: Lane,
    chunk: Chunk,
    collection: TrackedCollection,
    candidates: readonly Candidate[],
    signal: AbortSignal,
  ): Promise<Judged[]> {
    const pending = await this.#options.pending(signal);
    const covered = isNatural(chunk.bounds) ? undefined : await this.#momentAfterNow(signal);
    const aheadTo = this.#options.aheadTo(collection);
    const judged: Judged[] = [];
    for (let i = 0; i < candidates.length; i += KEYS_PER_READ) {
      const part = candidates.slice(i, i + KEYS_PER_READ);
      const keys = part.map(({ key }) => key);
      const held = covered && (await this.#held(lane, collection, keys, covered));
      for (const row of part) {
        const evidence = {
          change: pending.of(collection.uuid, row.key),
          unknown: pending.isOverflowed(collection.uuid),
          aheadTo,
        };
        const name = nameOf(row.key);
        const values = held && { source: held.source.get(name), target: held.target.get(name) };
        judged.push(values ? judgeByValues(row, evidence, values, held.isMoment) : judgeByLog(row, evidence));
      }
    }
    return judged;
  }

  /**
   * A moment that has all that was read of the target so far, when the log is
   * being applied; else the last one, after which nothing was applied.
   */
  async #momentAfterNow(signal: AbortSignal): Promise<{ moment: Moment; isCovered: boolean } | undefined> {
    const { moment, isHeld, clock, target } = this.#options;
    const mark = await target.note({ detect: 'mark' });
    const deadline = clock.now() + LONGEST_STEP_MS;
    for (;;) {
      const latest = moment();
      const isCovered = latest !== undefined && latest.target >= mark;
      if (isCovered || isHeld() || clock.now() > deadline) return latest && { moment: latest, isCovered };
      throwIfAborted(signal);
      await clock.sleep(POLL_MS, signal);
    }
  }

  /**
   * What the source held at a moment, and the target then or, where no moment
   * has what was read of it, now. Undefined when the source forgot its state.
   */
  async #held(
    lane: Lane,
    collection: TrackedCollection,
    keys: readonly RawKey[],
    { moment, isCovered }: { moment: Moment; isCovered: boolean },
  ): Promise<{ source: Map<string, string>; target: Map<string, string>; isMoment: boolean } | undefined> {
    const here = { ...collection.source, uuid: collection.uuid };
    const there = { db: collection.target.db, name: collection.target.collection };
    try {
      const source = digests(await readByKeys(lane.source, here, keys, snapshotAt(moment.source)));
      const concern = isCovered ? snapshotAt(moment.target) : MAJORITY;
      const target = digests(await readByKeys(lane.target, there, keys, concern));
      return { source, target, isMoment: isCovered };
    } catch (error) {
      if (NO_SNAPSHOT.has(serverCodeOf(error) ?? 0)) return undefined;
      throw error;
    }
  }
}

function digests(docs: ReadonlyMap<string, Buffer>): Map<string, string> {
  return new Map([...docs.values()].map((doc) => [nameOf(keyAt(doc, 0).key), digestOf(doc)]));
}

/** Keys that the server holds equal (1 and 1.0) have one name: a document may change between them. */
function nameOf(key: RawKey): string {
  return idKey(key[4] as number, key, 9, key.length - 1);
}

function unitOf(collection: TrackedCollection): string {
  return `${collection.source.db}.${collection.source.name}`;
}

function digestAt(stream: DocStream): string {
  return digestOf(stream.buf.subarray(stream.start, stream.end));
}

function oneSided(kind: 'missing' | 'extra', stream: DocStream): AsideRow {
  const digest = digestAt(stream);
  const { key } = keyAt(stream.buf, stream.start);
  return { kind, key, ...(kind === 'missing' ? { sourceDigest: digest } : { targetDigest: digest }) };
}

/** The raw key of a difference that names it in extended JSON. */
export function keyOfText(text: Drift['key']): RawKey {
  return Buffer.from(serialize({ _id: EJSON.parse(text, { relaxed: false }) }));
}
