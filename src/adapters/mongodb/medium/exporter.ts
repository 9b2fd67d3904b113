import { serialize } from 'bson';
import type { Chunk, ChunkCopier, ChunkProgress } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import type { Throttle } from '../../../kernel/throttle.ts';
import { BsonBuilder } from '../bson/builder.ts';
import type { CollectionSpec } from '../catalog.ts';
import type { Cluster } from '../cluster.ts';
import { getMore, sliceOrGone } from '../copier.ts';
import { serverCodeOf } from '../errors.ts';
import { uuidBytes } from '../partition.ts';
import { PieceSize } from '../piece-size.ts';
import { timestampOf } from '../position.ts';
import type { WireConnection, WireReply } from '../wire/connection.ts';
import type { MediumSink } from './sink.ts';

export interface ExporterOptions {
  readonly source: Cluster;
  /** Opens a connection to the member that is read; it may stay behind on purpose. */
  readonly connect: (signal: AbortSignal) => Promise<WireConnection>;
  /** The same, to one that is up to date: for what can only be read as it is now. */
  readonly connectNow: (signal: AbortSignal) => Promise<WireConnection>;
  readonly sink: MediumSink;
  readonly spec: (uuid: string) => CollectionSpec;
  /** Everything up to here is read; with `snapshot` nothing else, as long as the server can. */
  readonly timePoint: Position;
  readonly snapshot: boolean;
  readonly throttle: Throttle;
  /** Told when a collection cannot be read as of the time point, with the reason. */
  readonly onInexact: (uuid: string, why: string) => void;
  /** Told from where on the log must be replayed onto a collection whose order is its meaning. */
  readonly onNaturalStart: (uuid: string, position: Position) => void;
}

/** How far a collection is on the medium, so that a fault does not begin it again. */
interface Reached {
  /** Where the server goes on: `{$recordId}`. */
  token: Buffer | undefined;
  docs: number;
  bytes: number;
}

const MAJORITY = Buffer.from(serialize({ level: 'majority' }));

/**
 * The server cannot, or can no longer, read as of the time point: too old, not
 * kept, changed in structure since, or a kind of collection without history
 * (error_codes.yml).
 */
const NO_SNAPSHOT = new Set([
  72, // InvalidOptions
  239, // SnapshotTooOld
  246, // SnapshotUnavailable
]);
/** The record to go on behind is gone (KeyNotFound). */
const TOKEN_GONE = 211;

/** Fewer bytes are gathered first: every block on the medium has its price. */
const LEAST_BLOCK = 4 * 1024 * 1024;
const MOST_BLOCK = 16 * 1024 * 1024;

/**
 * Reads whole collections onto a medium as bytes, in their natural order, which
 * costs the source least: a reply, its framing squeezed out in place, is
 * appended to a file while the next reply is on its way. At most two replies per
 * lane are in memory, and a block being gathered.
 */
export class MediumExporter implements ChunkCopier {
  readonly #options: ExporterOptions;
  readonly #idle: WireConnection[] = [];
  readonly #reached = new Map<string, Reached>();
  readonly #inexact = new Set<string>();

  constructor(options: ExporterOptions) {
    this.#options = options;
  }

  /** A chunk is a collection. */
  async copy(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void> {
    const { capped } = this.#options.spec(chunk.unit);
    const connection = capped
      ? await this.#options.connectNow(signal)
      : (this.#idle.pop() ?? (await this.#connect(signal)));
    const stop = () => connection.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      if (capped) await this.#capped(connection, chunk, progress, signal);
      else await this.#collection(connection, chunk, progress, signal);
      await this.#options.sink.end(chunk.unit);
      if (capped) stop();
      else if (!signal.aborted) this.#idle.push(connection);
    } catch (error) {
      stop();
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  /** Whether a collection is on the medium exactly as of the time point. */
  isExact(uuid: string): boolean {
    return this.#options.snapshot && !this.#inexact.has(uuid);
  }

  close(): void {
    for (const connection of this.#idle.splice(0)) connection.close();
  }

  async #connect(signal: AbortSignal): Promise<WireConnection> {
    const connection = await this.#options.connect(signal);
    try {
      await this.#options.source.waitForMajority(connection, this.#options.timePoint, signal);
      return connection;
    } catch (error) {
      connection.close();
      throw error;
    }
  }

  /** In one go, from a position of its own: nobody keeps a history of it, and its order is its meaning. */
  async #capped(connection: WireConnection, chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void> {
    const { source, sink, onNaturalStart } = this.#options;
    const start = await source.note({ export: 'start' });
    await source.waitForMajority(connection, start, signal);
    await sink.restart(chunk.unit);
    onNaturalStart(chunk.unit, start);
    this.#giveUpExactness(chunk.unit, 'servers keep no history of capped collections');
    const reached: Reached = { token: undefined, docs: 0, bytes: 0 };
    await this.#pump(connection, chunk.unit, MAJORITY, reached, progress, signal);
  }

  async #collection(
    connection: WireConnection,
    chunk: Chunk,
    progress: ChunkProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const { sink } = this.#options;
    const reached = this.#reached.get(chunk.unit) ?? { token: undefined, docs: 0, bytes: 0 };
    this.#reached.set(chunk.unit, reached);
    // The caller took back what it had counted of the earlier attempt.
    if (reached.docs > 0) progress(reached.docs, reached.bytes);
    for (;;) {
      const exact = this.isExact(chunk.unit);
      try {
        await this.#pump(connection, chunk.unit, exact ? this.#asOfTimePoint() : MAJORITY, reached, progress, signal);
        this.#reached.delete(chunk.unit);
        return;
      } catch (error) {
        const code = serverCodeOf(error);
        if (code === TOKEN_GONE && reached.token) {
          await sink.restart(chunk.unit);
          progress(-reached.docs, -reached.bytes);
          Object.assign(reached, { token: undefined, docs: 0, bytes: 0 });
        } else if (exact && code !== undefined && NO_SNAPSHOT.has(code)) {
          // What is on the medium already is older than what follows; the log makes up for both.
          this.#giveUpExactness(chunk.unit, error instanceof Error ? error.message : String(error));
        } else throw error;
      }
    }
  }

  #giveUpExactness(uuid: string, why: string): void {
    if (!this.#options.snapshot || this.#inexact.has(uuid)) return;
    this.#inexact.add(uuid);
    this.#options.onInexact(uuid, why);
  }

  #asOfTimePoint(): Buffer {
    const { timePoint } = this.#options;
    return Buffer.from(serialize({ level: 'snapshot', atClusterTime: timestampOf(timePoint) }));
  }

  async #pump(
    connection: WireConnection,
    unit: string,
    readConcern: Buffer,
    reached: Reached,
    progress: ChunkProgress,
    signal: AbortSignal,
  ): Promise<void> {
    const { throttle, sink } = this.#options;
    const spec = this.#options.spec(unit);
    const piece = new PieceSize(throttle);
    const block = new Block(async (docs, count, token) => {
      await sink.append(unit, docs, count);
      reached.token = token;
      reached.docs += count;
      reached.bytes += docs.length;
      progress(count, docs.length);
    });
    const find = findAll(spec, readConcern, reached.token, piece.documents());
    let ask: (() => Promise<WireReply>) | undefined = this.#asking(connection, find);
    while (ask) {
      const reply: WireReply = await throttle.turn(ask);
      try {
        const batch = sliceOrGone(reply.body, spec);
        if (!batch) {
          // Dropped while it was read: the log has the drop, and what is missing is not missed.
          this.#giveUpExactness(unit, 'it was dropped while it was read');
          break;
        }
        const { docs, count, cursorId, collection } = batch;
        piece.saw(count, docs.length);
        ask =
          cursorId === 0n
            ? undefined
            : this.#asking(connection, getMore(cursorId, collection ?? spec.name, spec.db, piece.documents()));
        await throttle.take(docs.length, signal);
        // Looked for before the reply's memory is given back.
        const token = batch.postBatchResumeToken();
        if (count > 0) await block.add(docs, count, token && Buffer.from(token));
      } finally {
        reply.release();
      }
    }
    await block.flush();
  }

  #asking(connection: WireConnection, request: Buffer): () => Promise<WireReply> {
    if (this.#options.throttle.isLimited) return () => connection.request(request);
    const reply = connection.request(request);
    // The failure is seen where it is awaited; until then it must not count as unhandled.
    reply.catch(() => undefined);
    return () => reply;
  }
}

/** Everything in natural order; behind a record that was reached before. Capped collections take no such record. */
function findAll(spec: CollectionSpec, readConcern: Buffer, after: Buffer | undefined, batchSize: number): Buffer {
  const out = new BsonBuilder(1024).begin();
  out.appendElement(0x05, 'find', uuidBytes(spec.uuid));
  out.startDocument('hint').appendInt32('$natural', 1).end();
  if (!spec.capped) out.appendBool('$_requestResumeToken', true);
  if (after) out.appendDocument('$_resumeAfter', after);
  out.appendInt32('batchSize', batchSize);
  out.appendDocument('readConcern', readConcern);
  out.startDocument('$readPreference').appendString('mode', 'primaryPreferred').end();
  out.appendString('$db', spec.db);
  return Buffer.from(out.end().finish());
}

type WriteBlock = (docs: Buffer, count: number, token: Buffer | undefined) => Promise<void>;

/** Gathers small replies into blocks that are worth writing; large ones pass as they are. */
class Block {
  readonly #write: WriteBlock;
  #memory: Buffer | undefined;
  #bytes = 0;
  #count = 0;
  #token: Buffer | undefined;

  constructor(write: WriteBlock) {
    this.#write = write;
  }

  async add(docs: Buffer, count: number, token: Buffer | undefined): Promise<void> {
    if (this.#bytes + docs.length > MOST_BLOCK) await this.flush();
    if (this.#bytes === 0 && docs.length >= LEAST_BLOCK) return this.#write(docs, count, token);
    this.#memory ??= Buffer.allocUnsafeSlow(MOST_BLOCK);
    docs.copy(this.#memory, this.#bytes);
    this.#bytes += docs.length;
    this.#count += count;
    this.#token = token;
    if (this.#bytes >= LEAST_BLOCK) await this.flush();
  }

  async flush(): Promise<void> {
    if (!this.#memory || this.#bytes === 0) return;
    const docs = this.#memory.subarray(0, this.#bytes);
    const count = this.#count;
    this.#bytes = 0;
    this.#count = 0;
    await this.#write(docs, count, this.#token);
  }
}
