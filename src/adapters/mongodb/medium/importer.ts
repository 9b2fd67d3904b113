import { throwIfAborted } from '../../../kernel/errors.ts';
import { failpoint } from '../../../kernel/failpoint.ts';
import type { Chunk, ChunkCopier, ChunkProgress } from '../../../kernel/ports.ts';
import type { Throttle } from '../../../kernel/throttle.ts';
import type { CollectionSpec } from '../catalog.ts';
import type { Cluster } from '../cluster.ts';
import { createCollection, dropCollection } from '../structure.ts';
import type { WireConnection } from '../wire/connection.ts';
import { insertDocuments, type TargetName, waitForMajority } from '../write.ts';
import { repairZeroTimestamps } from '../zero-timestamps.ts';
import type { Compression } from './codec.ts';
import type { Part } from './manifest.ts';
import type { Medium } from './medium.ts';
import { Sorter } from './order.ts';
import { type DocumentBatch, readParts } from './read-parts.ts';

/** Where the documents of a chunk lie: everything needed to load it, in any process. */
interface ChunkPlace {
  readonly file: string;
  readonly compression: Compression;
  readonly parts: readonly Part[];
}

/** Cuts a medium into chunks of about `chunkBytes`; the unit of a chunk is the collection's UUID. */
export function planMediumChunks(medium: Medium, chunkBytes: number, chosen: ReadonlySet<string>): Omit<Chunk, 'id'>[] {
  const planned = medium.collections
    .filter(({ spec }) => chosen.has(spec.uuid))
    .map(({ spec, data }) => {
      // Order is meaning there: one chunk.
      const most = spec.capped ? Number.POSITIVE_INFINITY : chunkBytes;
      const groups: Part[][] = [];
      let bytes = 0;
      for (const part of data.parts) {
        const group = groups.at(-1);
        if (group && bytes + part[2] <= most) {
          group.push(part);
          bytes += part[2];
        } else {
          groups.push([part]);
          bytes = part[2];
        }
      }
      return groups.map((parts) => ({
        unit: spec.uuid,
        bounds: Buffer.from(JSON.stringify({ file: data.file, compression: data.compression, parts })),
        docs: parts.reduce((sum, part) => sum + part[3], 0),
        bytes: parts.reduce((sum, part) => sum + part[2], 0),
      }));
    });
  // Large collections first, so that the lanes end together.
  const size = (chunks: { bytes: number }[]) => chunks.reduce((sum, chunk) => sum + chunk.bytes, 0);
  return planned.sort((a, b) => size(b) - size(a)).flat();
}

export interface ImporterOptions {
  /** That the chunks' files are named from. */
  readonly folder: string;
  readonly target: Cluster;
  readonly unit: (uuid: string) => { readonly spec: CollectionSpec; readonly target: TargetName };
  readonly throttle: Throttle;
}

/** As much as a server's reply holds. */
const MESSAGE_BYTES = 16 * 1024 * 1024;

interface Lane {
  readonly connection: WireConnection;
  /** Its memory, as large as a chunk, is worth keeping. */
  readonly sorter: Sorter;
}

/**
 * Loads chunks of a medium: whole documents, as bytes, become the document
 * sequence of an insert. A chunk counts as loaded only after its last message
 * was acknowledged by a majority, which includes every message before it on the
 * same connection.
 */
export class MediumImporter implements ChunkCopier {
  readonly #options: ImporterOptions;
  readonly #idle: Lane[] = [];

  constructor(options: ImporterOptions) {
    this.#options = options;
  }

  async copy(chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void> {
    const lane = this.#idle.pop() ?? {
      connection: await this.#options.target.connectPrimary(signal),
      sorter: new Sorter(),
    };
    const stop = () => lane.connection.close();
    signal.addEventListener('abort', stop, { once: true });
    try {
      await this.#load(lane, chunk, progress, signal);
      if (!signal.aborted) this.#idle.push(lane);
    } catch (error) {
      stop();
      throwIfAborted(signal);
      throw error;
    } finally {
      signal.removeEventListener('abort', stop);
    }
  }

  close(): void {
    for (const lane of this.#idle.splice(0)) lane.connection.close();
  }

  /** All batches together in the order of their `_id`s, cut anew. */
  async *#inOrder(sorter: Sorter, batches: AsyncIterable<DocumentBatch>): AsyncGenerator<DocumentBatch> {
    for await (const { docs, documents } of batches) sorter.add(docs, documents);
    yield* sorter.pieces(MESSAGE_BYTES);
  }

  async #load({ connection, sorter }: Lane, chunk: Chunk, progress: ChunkProgress, signal: AbortSignal): Promise<void> {
    const { folder, throttle, unit } = this.#options;
    const { spec, target } = unit(chunk.unit);
    const place = JSON.parse(chunk.bounds.toString('utf8')) as ChunkPlace;
    if (spec.capped) {
      // What an earlier attempt wrote cannot be gone on with.
      await dropCollection(connection, target);
      await createCollection(connection, target, spec);
    }
    failpoint('copy.chunk.before-first-write');
    const batches = readParts(folder, place.file, place.compression, place.parts);
    for await (const { docs, documents } of spec.capped ? batches : this.#inOrder(sorter, batches)) {
      await throttle.take(docs.length, signal);
      await insertDocuments(connection, target, docs, documents, { ordered: spec.capped, majority: false });
      await repairZeroTimestamps(connection, target, docs);
      failpoint('copy.chunk.after-write');
      progress(documents, docs.length);
    }
    await waitForMajority(connection);
  }
}
