import { mkdir, open, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import xxhash from '@node-rs/xxhash';
import { invariant } from '../../../kernel/errors.ts';
import type { CollectionSpec, ViewSpec } from '../catalog.ts';
import { hex64, inFile } from './append-file.ts';
import { type Compression, compressBlock, SUFFIX } from './codec.ts';
import { DocumentFile, type FileFacts } from './document-file.ts';
import type { ManifestData } from './manifest.ts';
import { collectionMetadata, viewMetadata } from './metadata.ts';
import { fileNameOf } from './names.ts';
import type { MediumSink, SinkUnit } from './sink.ts';

const OPLOG_FILE = 'oplog.bson';

export interface DirectorySinkOptions {
  readonly path: string;
  readonly compression: Compression;
  readonly serverVersion: string;
  readonly toolVersion: string;
}

/** A medium as mongodump makes it with `--out`: a folder for each database, two files for each collection. */
export class DirectorySink implements MediumSink {
  readonly #options: DirectorySinkOptions;
  readonly #units = new Map<string, SinkUnit>();
  /** Made when the first documents come: few are open at a time. */
  readonly #open = new Map<string, Promise<DocumentFile>>();
  readonly #files: FileFacts[] = [];
  #log: Promise<DocumentFile> | undefined;

  private constructor(options: DirectorySinkOptions, units: readonly SinkUnit[]) {
    this.#options = options;
    for (const unit of units) this.#units.set(unit.key, unit);
  }

  /** Makes the folders and writes all metadata. Files that an earlier attempt completed are `kept`. */
  static async create(
    options: DirectorySinkOptions,
    structure: { collections: readonly CollectionSpec[]; views: readonly ViewSpec[] },
    units: readonly SinkUnit[],
    kept: readonly FileFacts[] = [],
  ): Promise<DirectorySink> {
    const sink = new DirectorySink(options, units);
    sink.#files.push(...kept);
    const all = [...structure.collections, ...structure.views];
    for (const db of new Set(all.map((item) => item.db))) {
      const folder = join(options.path, db);
      await inFile(folder, () => mkdir(folder, { recursive: true, mode: 0o700 }));
    }
    for (const spec of structure.collections) {
      const name = spec.series ? spec.name.replace(/^system\.buckets\./, '') : spec.name;
      await sink.#metadata(`${spec.db}/${fileNameOf(name)}`, collectionMetadata(spec));
    }
    for (const view of structure.views) {
      await sink.#metadata(`${view.db}/${fileNameOf(view.name)}`, viewMetadata(view));
    }
    await sink.#small(
      `prelude.json${sink.#toolSuffix}`,
      JSON.stringify({ ServerVersion: options.serverVersion, ToolVersion: options.toolVersion }),
    );
    return sink;
  }

  async append(unit: string, docs: Buffer, documents: number): Promise<void> {
    await (await this.#fileOf(unit)).append(docs, documents);
  }

  async restart(unit: string): Promise<void> {
    await (await this.#fileOf(unit)).clear();
  }

  /** Its files are independent of each other. */
  end(): Promise<void> {
    return Promise.resolve();
  }

  async finish(unit: string): Promise<{ data: ManifestData; file: FileFacts }> {
    const { data, file } = await (await this.#fileOf(unit)).finish();
    this.#open.delete(unit);
    this.#files.push(file);
    return { data, file };
  }

  async appendLog(entries: Buffer, count: number): Promise<void> {
    await (await this.#logFile()).append(entries, count);
  }

  async finishLog(): Promise<ManifestData> {
    const { data, file } = await (await this.#logFile()).finish();
    this.#log = undefined;
    this.#files.push(file);
    return data;
  }

  async close(): Promise<FileFacts[]> {
    // The names of the files are durable when their folders are.
    const folders = new Set([...this.#units.values()].map((unit) => join(this.#options.path, unit.db)));
    for (const folder of [...folders, this.#options.path]) await syncFolder(folder);
    return this.#files.sort((a, b) => (a.path < b.path ? -1 : 1));
  }

  async abandon(): Promise<void> {
    const files = [...this.#open.values(), ...(this.#log ? [this.#log] : [])];
    this.#open.clear();
    this.#log = undefined;
    await Promise.allSettled(files.map(async (file) => (await file).abandon()));
  }

  #fileOf(key: string): Promise<DocumentFile> {
    const known = this.#open.get(key);
    if (known) return known;
    const unit = this.#units.get(key);
    invariant(unit, `Documents of a collection that the medium does not have: ${key}`);
    const { path, compression } = this.#options;
    const name = `${unit.db}/${fileNameOf(unit.name)}.bson${SUFFIX[compression]}`;
    const made = DocumentFile.create(join(path, name), name, compression);
    this.#open.set(key, made);
    return made;
  }

  #logFile(): Promise<DocumentFile> {
    const { path, compression } = this.#options;
    // With --gzip mongorestore takes everything for compressed, and looks for the log under its plain name.
    this.#log ??= DocumentFile.create(join(path, OPLOG_FILE), OPLOG_FILE, compression);
    return this.#log;
  }

  /** With gzip the metadata are compressed too, as the tools want it; with zstd no tool reads them anyway. */
  get #toolSuffix(): string {
    return this.#options.compression === 'gzip' ? SUFFIX.gzip : '';
  }

  async #metadata(base: string, text: string): Promise<void> {
    await this.#small(`${base}.metadata.json${this.#toolSuffix}`, text);
  }

  async #small(name: string, text: string): Promise<void> {
    const plain = Buffer.from(text, 'utf8');
    const bytes = this.#toolSuffix === '' ? plain : await compressBlock('gzip', plain);
    const path = join(this.#options.path, name);
    await inFile(path, () => writeFile(path, bytes, { mode: 0o600, flush: true }));
    this.#files.push({ path: name, bytes: bytes.length, xxh3: hex64(xxhash.xxh3.xxh64(bytes)) });
  }
}

/** Makes the names in a folder durable. */
async function syncFolder(path: string): Promise<void> {
  if (process.platform === 'win32') return; // folders cannot be opened there, and need not be
  await inFile(path, async () => {
    const handle = await open(path, 'r');
    try {
      await handle.sync();
    } finally {
      await handle.close();
    }
  });
}
