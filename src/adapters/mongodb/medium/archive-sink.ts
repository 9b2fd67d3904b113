import { rename } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { GodwitError, invariant } from '../../../kernel/errors.ts';
import type { CollectionSpec, ViewSpec } from '../catalog.ts';
import { AppendFile, inFile } from './append-file.ts';
import { ARCHIVE_OPLOG, endOfNamespace, preludeBytes, segmentHeader, TERMINATOR } from './archive-format.ts';
import { type Compression, compressBlock } from './codec.ts';
import { Crc64 } from './crc64.ts';
import { DataTally, DocumentFile, type FileFacts } from './document-file.ts';
import { type ManifestData, removeIfThere } from './manifest.ts';
import { collectionMetadata, viewMetadata } from './metadata.ts';
import { readParts } from './read-parts.ts';
import type { MediumSink, SinkUnit } from './sink.ts';

export interface ArchiveSinkOptions {
  /** Of the archive when it is complete; until then it has another name. */
  readonly path: string;
  readonly compression: Compression;
  readonly serverVersion: string;
  readonly toolVersion: string;
  /** Collections that are written at once. */
  readonly lanes: number;
}

interface Namespace {
  readonly db: string;
  readonly name: string;
  readonly tally: DataTally;
  readonly crc: Crc64;
}

/**
 * A medium as mongodump makes it with `--archive`. Every block of documents is
 * a segment of its own, so that they can be found again; compressed, what lies
 * between two headers is a member of its own.
 */
export class ArchiveSink implements MediumSink {
  readonly #options: ArchiveSinkOptions;
  readonly #file: AppendFile;
  readonly #namespaces = new Map<string, Namespace>();
  /** Ordered collections may have to begin again, and an archive only grows: they wait in a file of their own. */
  readonly #waiting = new Map<string, Promise<DocumentFile>>();
  readonly #ordered: ReadonlySet<string>;
  readonly #log: Namespace;
  /** Length of what comes first in the file. */
  preludeBytes = 0;

  private constructor(options: ArchiveSinkOptions, file: AppendFile, units: readonly SinkUnit[]) {
    this.#options = options;
    this.#file = file;
    this.#log = { ...ARCHIVE_OPLOG, tally: new DataTally(options.compression), crc: new Crc64() };
    this.#ordered = new Set(units.filter((unit) => unit.ordered).map((unit) => unit.key));
    for (const { key, db, name } of units) {
      this.#namespaces.set(key, { db, name, tally: new DataTally(options.compression), crc: new Crc64() });
    }
  }

  /** Makes the file and writes the metadata of all collections. */
  static async create(
    options: ArchiveSinkOptions,
    structure: { collections: readonly CollectionSpec[]; views: readonly ViewSpec[] },
    units: readonly SinkUnit[],
  ): Promise<ArchiveSink> {
    const sink = new ArchiveSink(options, await AppendFile.create(`${options.path}.part`), units);
    const plain = (spec: CollectionSpec) => (spec.series ? spec.name.replace(/^system\.buckets\./, '') : spec.name);
    const prelude = preludeBytes({
      serverVersion: options.serverVersion,
      toolVersion: options.toolVersion,
      concurrent: Math.max(options.lanes, 1),
      entries: [
        ...structure.collections.map((spec) => ({
          db: spec.db,
          name: plain(spec),
          metadata: collectionMetadata(spec),
          type: spec.series ? ('timeseries' as const) : ('collection' as const),
        })),
        ...structure.views.map((view) => ({ ...view, metadata: viewMetadata(view), type: 'view' as const })),
        { ...ARCHIVE_OPLOG, metadata: '', type: '' },
      ],
    });
    await sink.#frame([prelude]);
    sink.preludeBytes = sink.#file.size;
    // Views hold nothing, and the tool wants to be told so.
    for (const view of structure.views) await sink.#end({ ...view, crc: new Crc64() });
    return sink;
  }

  async append(unit: string, docs: Buffer, documents: number): Promise<void> {
    if (this.#ordered.has(unit)) await (await this.#waitingFile(unit)).append(docs, documents);
    else await this.#segment(this.#namespace(unit), docs, documents);
  }

  async restart(unit: string): Promise<void> {
    if (this.#ordered.has(unit)) return (await this.#waitingFile(unit)).clear();
    const { db, name } = this.#namespace(unit);
    throw new GodwitError('GW2105', `${db}.${name} would have to begin again, and an archive only grows`, {
      details: { medium: this.#options.path },
    });
  }

  async end(unit: string): Promise<void> {
    const namespace = this.#namespace(unit);
    if (this.#ordered.has(unit)) await this.#takeIn(unit, namespace);
    await this.#end(namespace);
  }

  finish(unit: string): Promise<{ data: ManifestData }> {
    return Promise.resolve({ data: this.#dataOf(this.#namespace(unit)) });
  }

  appendLog(entries: Buffer, count: number): Promise<void> {
    return this.#segment(this.#log, entries, count);
  }

  async finishLog(): Promise<ManifestData> {
    await this.#end(this.#log);
    return this.#dataOf(this.#log);
  }

  async close(): Promise<FileFacts[]> {
    const { path } = this.#options;
    await this.#file.finish();
    await inFile(path, () => rename(`${path}.part`, path));
    return [{ path: basename(path), bytes: this.#file.size, xxh3: this.#file.digest }];
  }

  async abandon(): Promise<void> {
    await Promise.allSettled([...this.#waiting.values()].map(async (file) => (await file).abandon()));
    for (const unit of this.#waiting.keys()) await removeIfThere(this.#waitingPath(unit)).catch(() => undefined);
    await this.#file.abandon();
  }

  async #segment(namespace: Namespace, docs: Buffer, documents: number): Promise<void> {
    const { compression } = this.#options;
    const header = await compressBlock(compression, segmentHeader(namespace));
    const block = await compressBlock(compression, docs);
    const end = await compressBlock(compression, TERMINATOR);
    // In the same turn as the append, so that the sum is of the documents in the order of the file.
    namespace.crc.update(docs);
    const offset = await this.#file.append([header, block, end]);
    namespace.tally.add(offset + header.length, block.length, docs.length, documents);
  }

  /** Bytes that are no documents. */
  async #frame(pieces: readonly Buffer[]): Promise<void> {
    const { compression } = this.#options;
    await this.#file.append(await Promise.all(pieces.map((piece) => compressBlock(compression, piece))));
  }

  #end(namespace: Pick<Namespace, 'db' | 'name' | 'crc'>): Promise<void> {
    return this.#frame([endOfNamespace(namespace, namespace.crc.value)]);
  }

  /** Moves the documents that waited into the archive. */
  async #takeIn(unit: string, namespace: Namespace): Promise<void> {
    const waiting = await this.#waitingFile(unit);
    const { data } = await waiting.finish();
    this.#waiting.delete(unit);
    const path = this.#waitingPath(unit);
    for await (const { docs, documents } of readParts(dirname(path), data.file, 'none', data.parts)) {
      await this.#segment(namespace, docs, documents);
    }
    await removeIfThere(path);
  }

  #waitingFile(unit: string): Promise<DocumentFile> {
    const known = this.#waiting.get(unit);
    if (known) return known;
    const path = this.#waitingPath(unit);
    const made = DocumentFile.create(path, basename(path), 'none');
    this.#waiting.set(unit, made);
    return made;
  }

  #waitingPath(unit: string): string {
    return `${this.#options.path}.${unit}.part`;
  }

  #namespace(unit: string): Namespace {
    const namespace = this.#namespaces.get(unit);
    invariant(namespace, `Documents of a collection that the medium does not have: ${unit}`);
    return namespace;
  }

  #dataOf({ tally }: Namespace): ManifestData {
    const { documents, bytes, parts } = tally;
    return { file: basename(this.#options.path), documents, bytes, parts };
  }
}
