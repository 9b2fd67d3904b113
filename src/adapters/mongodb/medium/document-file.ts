import { AppendFile } from './append-file.ts';
import { type Compression, compressBlock } from './codec.ts';
import type { ManifestData, Part } from './manifest.ts';

/** No part is joined to become longer than about this. */
const PART_BYTES = 64 * 1024 * 1024;

/** What stands in a file about another. */
export interface FileFacts {
  readonly path: string;
  readonly bytes: number;
  readonly xxh3: string;
}

/** Counts documents and remembers where they lie. */
export class DataTally {
  documents = 0;
  bytes = 0;
  readonly parts: Part[] = [];
  readonly #joins: boolean;

  /** What is not compressed can be read from any document on, so blocks that follow each other are one part. */
  constructor(compression: Compression) {
    this.#joins = compression === 'none';
  }

  /** A block of documents was written at `offset`, `length` bytes of file long. */
  add(offset: number, length: number, bytes: number, documents: number): void {
    this.documents += documents;
    this.bytes += bytes;
    const last = this.parts.at(-1);
    if (last && this.#joins && last[0] + last[1] === offset && last[2] < PART_BYTES) {
      last[1] += length;
      last[2] += bytes;
      last[3] += documents;
    } else this.parts.push([offset, length, bytes, documents]);
  }

  clear(): void {
    this.documents = 0;
    this.bytes = 0;
    this.parts.length = 0;
  }
}

/** The documents of one collection in a file of their own: `.bson`, `.bson.gz` or `.bson.zst`. */
export class DocumentFile {
  readonly #file: AppendFile;
  /** Relative to the medium. */
  readonly #name: string;
  readonly #compression: Compression;
  readonly #tally: DataTally;

  private constructor(file: AppendFile, name: string, compression: Compression) {
    this.#file = file;
    this.#name = name;
    this.#compression = compression;
    this.#tally = new DataTally(compression);
  }

  static async create(path: string, name: string, compression: Compression): Promise<DocumentFile> {
    return new DocumentFile(await AppendFile.create(path), name, compression);
  }

  async append(docs: Buffer, documents: number): Promise<void> {
    const block = await compressBlock(this.#compression, docs);
    const offset = await this.#file.append([block]);
    this.#tally.add(offset, block.length, docs.length, documents);
  }

  async clear(): Promise<void> {
    await this.#file.clear();
    this.#tally.clear();
  }

  /** Makes it durable. */
  async finish(): Promise<{ data: ManifestData; file: FileFacts }> {
    // What is compressed is never empty: readers want a member, even of nothing.
    if (this.#file.size === 0 && this.#compression !== 'none') {
      await this.#file.append([await compressBlock(this.#compression, Buffer.alloc(0))]);
    }
    await this.#file.finish();
    const { documents, bytes, parts } = this.#tally;
    return {
      data: { file: this.#name, documents, bytes, parts },
      file: { path: this.#name, bytes: this.#file.size, xxh3: this.#file.digest },
    };
  }

  async abandon(): Promise<void> {
    await this.#file.abandon();
  }
}
