import { createWriteStream } from 'node:fs';
import { open } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import xxhash from '@node-rs/xxhash';
import { GodwitError, invariant, throwIfAborted } from '../../../kernel/errors.ts';
import { POSITION_ZERO } from '../../../kernel/position.ts';
import { hex64, inFile } from './append-file.ts';
import {
  ARCHIVE_MAGIC,
  ARCHIVE_OPLOG,
  type ArchivePrelude,
  isTerminator,
  readNamespaceHeader,
  readPrelude,
} from './archive-format.ts';
import { type Compression, compressionOf, decompressBlock } from './codec.ts';
import { Crc64 } from './crc64.ts';
import { DataTally } from './document-file.ts';
import { LogTally } from './log-tally.ts';
import type { BytesRead, Medium, MediumCollection, MediumData } from './medium.ts';
import { parseMetadata, specOf } from './metadata.ts';
import { plainStream } from './read-parts.ts';
import { wellFormed } from './scan-dump.ts';
import { madeUpUuid } from './uuid.ts';

/** An archive is read in pieces of this size. */
const LONGEST_DOCUMENT = 16 * 1024 * 1024 + 64 * 1024;
const SHORTEST_DOCUMENT = 5;

interface Namespace {
  readonly db: string;
  readonly name: string;
  readonly tally: DataTally;
  readonly crc: Crc64;
  ended: boolean;
}

export interface ArchiveScanOptions {
  readonly signal: AbortSignal;
  readonly onRead: BytesRead;
  /**
   * Where to unpack a compressed archive to, whose places cannot be found
   * otherwise. Without it the archive is looked through, and no more.
   */
  readonly unpackTo?: string;
}

/** Looks through an archive of mongodump, to its end. Throws GW2101, GW2103. */
export async function scanArchive(path: string, options: ArchiveScanOptions): Promise<Medium> {
  const compression = await archiveCompression(path);
  const unpack = compression === 'none' ? undefined : options.unpackTo;
  const scan = new ArchiveScan(basename(path));
  const sum = xxhash.xxh3.Xxh3.withSeed();
  const out = unpack === undefined ? undefined : createWriteStream(unpack, { mode: 0o600, flush: true });
  const failed = out && new Promise<never>((_resolve, reject) => out.on('error', reject));
  failed?.catch(() => undefined);
  try {
    for await (const piece of plainStream(path, basename(path), compression)) {
      throwIfAborted(options.signal);
      sum.update(piece);
      scan.add(piece);
      options.onRead(piece.length);
      if (out && failed && !out.write(piece)) {
        await inFile(unpack ?? '', () =>
          Promise.race([new Promise<void>((resolve) => out.once('drain', () => resolve())), failed]),
        );
      }
    }
    scan.end();
    if (out && failed) {
      await inFile(unpack ?? '', () =>
        Promise.race([new Promise<void>((resolve) => out.end(() => resolve())), failed]),
      );
    }
  } finally {
    out?.destroy();
  }
  const packed = compression !== 'none' && unpack === undefined;
  return scan.medium(unpack ?? path, `dump-${hex64(sum.digest())}`, packed);
}

async function archiveCompression(path: string): Promise<Compression> {
  const head = Buffer.alloc(4);
  const handle = await inFile(path, () => open(path, 'r'));
  try {
    const { bytesRead } = await handle.read(head, 0, 4, 0);
    const compression = compressionOf(head.subarray(0, bytesRead));
    if (compression === 'none' && !head.equals(ARCHIVE_MAGIC)) {
      throw new GodwitError('GW2103', `${path} is no archive of mongodump: it begins otherwise`, {
        details: { file: path },
      });
    }
    return compression;
  } finally {
    await handle.close();
  }
}

/** Takes an archive apart, however its bytes come in. */
class ArchiveScan {
  readonly #file: string;
  readonly #namespaces = new Map<string, Namespace>();
  readonly #log: LogTally;
  /** What came in and was not taken yet. */
  #rest: Buffer[] = [];
  #restBytes = 0;
  /** Fewer bytes than this are nothing whole: a long document comes in many pieces. */
  #needed = 0;
  /** Place of the rest in the archive. */
  #offset = 0;
  #state: 'magic' | 'prelude' | 'header' | 'body' = 'magic';
  readonly #preludeDocs: Buffer[] = [];
  #prelude: ArchivePrelude | undefined;
  #current: Namespace | undefined;

  constructor(file: string) {
    this.#file = file;
    this.#log = new LogTally(`the log in ${file}`);
  }

  /** Once all of it is here. */
  get prelude(): ArchivePrelude | undefined {
    return this.#prelude;
  }

  add(piece: Buffer): void {
    this.#rest.push(piece);
    this.#restBytes += piece.length;
    if (this.#restBytes < this.#needed) return;
    const buf = this.#rest.length === 1 ? piece : Buffer.concat(this.#rest);
    let at = 0;
    for (let next = this.#take(buf, at); next > at; next = this.#take(buf, at)) at = next;
    const left = Buffer.from(buf.subarray(at));
    this.#rest = left.length === 0 ? [] : [left];
    this.#restBytes = left.length;
    this.#needed = left.length >= 4 ? left.readUInt32LE(0) : 4;
    this.#offset += at;
  }

  end(): void {
    const open = [...this.#namespaces.values()].filter((namespace) => !namespace.ended);
    if (this.#restBytes > 0 || this.#state !== 'header') throw this.#damaged('it ends in the middle');
    for (const { db, name, type } of this.#prelude?.entries ?? []) {
      const data = type === 'timeseries' ? `system.buckets.${name}` : name;
      const seen = this.#namespaces.has(`${db}.${data}`);
      if (!seen && type !== 'view') throw this.#damaged(`it ends before the documents of ${db}.${data}`);
    }
    if (open[0]) throw this.#damaged(`the documents of ${open[0].db}.${open[0].name} have no end`);
  }

  medium(path: string, id: string, packed: boolean): Medium {
    invariant(this.#prelude, 'An archive without prelude was accepted');
    const folder = dirname(path);
    const dataOf = (namespace: Namespace | undefined): MediumData => ({
      file: basename(path),
      compression: 'none',
      documents: namespace?.tally.documents ?? 0,
      bytes: namespace?.tally.bytes ?? 0,
      parts: namespace?.tally.parts ?? [],
    });
    const collections: MediumCollection[] = [];
    const views: Medium['views'][number][] = [];
    const oplog = this.#namespaces.get(`.${ARCHIVE_OPLOG.name}`);
    for (const entry of this.#prelude.entries) {
      if (entry.db === '' || entry.db === 'admin' || entry.db === 'config') continue;
      if (entry.metadata === '') continue;
      const metadata = parseMetadata(entry.metadata, `${this.#file}, ${entry.db}.${entry.name},`, entry.name);
      if (metadata.type === 'view') {
        views.push({ db: entry.db, name: metadata.name, options: metadata.options });
        continue;
      }
      const name = metadata.type === 'timeseries' ? `system.buckets.${metadata.name}` : metadata.name;
      const uuid = metadata.uuid ?? this.#log.uuidOf(`${entry.db}.${name}`);
      collections.push({
        spec: specOf(metadata, entry.db, uuid ?? madeUpUuid(entry.db, name)),
        data: dataOf(this.#namespaces.get(`${entry.db}.${name}`)),
        snapshot: oplog === undefined,
        holds: oplog ? this.#log.start : POSITION_ZERO,
        identified: uuid !== undefined,
      });
    }
    const hasLog = oplog !== undefined && this.#log.entries > 0;
    return {
      folder,
      container: 'archive',
      packed,
      id,
      tool: `mongodump ${this.#prelude.toolVersion}`,
      source: undefined,
      timePoint: hasLog ? this.#log.first : undefined,
      log: hasLog ? { start: this.#log.start, end: this.#log.end, data: dataOf(oplog) } : undefined,
      listedBy: hasLog ? this.#log.end : POSITION_ZERO,
      collections,
      views,
    };
  }

  /** Takes what stands at `at`; gives where the next thing begins, or the same place for "not all here yet". */
  #take(buf: Buffer, at: number): number {
    if (this.#state === 'magic') {
      if (buf.length < ARCHIVE_MAGIC.length) return at;
      if (!buf.subarray(0, ARCHIVE_MAGIC.length).equals(ARCHIVE_MAGIC)) {
        throw new GodwitError('GW2103', `${this.#file} is no archive of mongodump: it begins otherwise`, {
          details: { file: this.#file },
        });
      }
      this.#state = 'prelude';
      return at + ARCHIVE_MAGIC.length;
    }
    if (isTerminator(buf, at)) return this.#terminator(at);
    // Documents of one collection are taken together.
    if (this.#state === 'body') return this.#body(buf, at);
    const end = this.#documentEnd(buf, at);
    if (end === undefined) return at;
    const doc = buf.subarray(at, end);
    if (this.#state === 'prelude') this.#preludeDocs.push(Buffer.from(doc));
    else this.#header(doc);
    return end;
  }

  #terminator(at: number): number {
    if (this.#state === 'prelude') {
      for (const doc of this.#preludeDocs) wellFormed(doc, this.#file);
      this.#prelude = readPrelude(this.#preludeDocs, this.#file);
    } else if (this.#state === 'header') throw this.#damaged('a segment has no header');
    this.#state = 'header';
    this.#current = undefined;
    return at + 4;
  }

  #header(doc: Buffer): void {
    wellFormed(doc, this.#file);
    const header = readNamespaceHeader(doc, this.#file);
    const key = `${header.db}.${header.name}`;
    const namespace: Namespace = this.#namespaces.get(key) ?? {
      db: header.db,
      name: header.name,
      tally: new DataTally('none'),
      crc: new Crc64(),
      ended: false,
    };
    if (namespace.ended) throw this.#damaged(`documents of ${key} come after their end`);
    this.#namespaces.set(key, namespace);
    if (header.end) {
      if (namespace.crc.value !== header.crc) throw this.#damaged(`the documents of ${key} do not fit their checksum`);
      namespace.ended = true;
    }
    this.#current = header.end ? undefined : namespace;
    this.#state = 'body';
  }

  #body(buf: Buffer, at: number): number {
    let end = at;
    let documents = 0;
    for (;;) {
      if (isTerminator(buf, end)) break;
      const next = this.#documentEnd(buf, end);
      if (next === undefined) break;
      end = next;
      documents += 1;
    }
    if (documents === 0) return at;
    if (!this.#current) throw this.#damaged('there are documents without a collection');
    const docs = buf.subarray(at, end);
    const isLog = this.#current.db === '' && this.#current.name === ARCHIVE_OPLOG.name;
    wellFormed(docs, this.#file);
    if (isLog) this.#log.add(docs);
    this.#current.crc.update(docs);
    this.#current.tally.add(this.#offset + at, docs.length, docs.length, documents);
    return end;
  }

  #documentEnd(buf: Buffer, at: number): number | undefined {
    if (at + 4 > buf.length) return undefined;
    const length = buf.readInt32LE(at);
    if (length < SHORTEST_DOCUMENT || length > LONGEST_DOCUMENT) throw this.#damaged('it holds what is no document');
    if (at + length > buf.length) return undefined;
    if (buf[at + length - 1] !== 0) throw this.#damaged('it holds what is no document');
    return at + length;
  }

  #damaged(why: string): GodwitError {
    return new GodwitError('GW2101', `${this.#file} is damaged near byte ${this.#offset}: ${why}`, {
      details: { file: this.#file, offset: this.#offset },
    });
  }
}

/** Reads the beginning of an archive only, `length` bytes of the file: its collections, and their metadata. */
export async function readArchivePrelude(
  path: string,
  compression: Compression,
  length: number,
): Promise<ArchivePrelude> {
  const head = Buffer.alloc(length);
  const handle = await inFile(path, () => open(path, 'r'));
  try {
    await handle.read(head, 0, length, 0);
  } finally {
    await handle.close();
  }
  const scan = new ArchiveScan(basename(path));
  scan.add(await decompressBlock(compression, head));
  if (scan.prelude) return scan.prelude;
  throw new GodwitError('GW2101', `${path} is damaged: it has no beginning`, { details: { file: path } });
}
