import { createReadStream } from 'node:fs';
import { type FileHandle, open } from 'node:fs/promises';
import { join } from 'node:path';
import * as zlib from 'node:zlib';
import { GodwitError } from '../../../kernel/errors.ts';
import { EMPTY_DOCUMENT_SIZE } from '../bson/walk.ts';
import { inFile } from './append-file.ts';
import { type Compression, decompressBlock } from './codec.ts';
import type { Part } from './manifest.ts';

/** Whole documents, back to back. The memory is used again for the next ones. */
export interface DocumentBatch {
  readonly docs: Buffer;
  readonly documents: number;
}

/** As much as a server's reply holds: messages to the target are filled the same way. */
const BATCH_BYTES = 16 * 1024 * 1024;
/** A document may be a little longer than 16 MiB: servers allow themselves 16 KiB, log entries some more. */
const LONGEST_DOCUMENT = 16 * 1024 * 1024 + 64 * 1024;
/** Up to here a part is taken apart in one go. */
const ONE_GO_BYTES = 64 * 1024 * 1024;

/** Reads parts of a file, in order. Throws GW2101 for what is damaged. */
export async function* readParts(
  medium: string,
  file: string,
  compression: Compression,
  parts: readonly Part[],
): AsyncGenerator<DocumentBatch, void, void> {
  const path = join(medium, file);
  const handle = await inFile(path, () => open(path, 'r'));
  const cutter = new DocumentCutter(file);
  try {
    for (const [offset, length, bytes] of parts) {
      if (compression === 'none') yield* readPlain(handle, path, cutter, offset, length);
      else if (bytes > 0 && bytes <= ONE_GO_BYTES && length <= ONE_GO_BYTES)
        yield* readWhole(handle, path, cutter, compression, offset, length);
      else yield* readStream(path, file, cutter, compression, offset, length);
      cutter.end();
    }
  } finally {
    await handle.close();
  }
}

async function* readPlain(
  handle: FileHandle,
  path: string,
  cutter: DocumentCutter,
  offset: number,
  length: number,
): AsyncGenerator<DocumentBatch> {
  for (let left = length, at = offset; left > 0; ) {
    const room = cutter.room(Math.min(left, BATCH_BYTES));
    const { bytesRead } = await inFile(path, () => handle.read(room, 0, Math.min(left, room.length), at));
    if (bytesRead === 0) throw truncated(path, at);
    at += bytesRead;
    left -= bytesRead;
    const batch = cutter.filled(bytesRead, left === 0);
    if (batch) yield batch;
  }
}

async function* readWhole(
  handle: FileHandle,
  path: string,
  cutter: DocumentCutter,
  compression: Compression,
  offset: number,
  length: number,
): AsyncGenerator<DocumentBatch> {
  const packed = Buffer.allocUnsafe(length);
  for (let done = 0; done < length; ) {
    const { bytesRead } = await inFile(path, () => handle.read(packed, done, length - done, offset + done));
    if (bytesRead === 0) throw truncated(path, offset + done);
    done += bytesRead;
  }
  const plain = await decompressBlock(compression, packed).catch((error: unknown) => {
    throw damaged(path, offset, error instanceof Error ? error.message : String(error));
  });
  yield* cutter.whole(plain);
}

/** A long compressed stretch, as other tools write it. */
async function* readStream(
  path: string,
  file: string,
  cutter: DocumentCutter,
  compression: Compression,
  offset: number,
  length: number,
): AsyncGenerator<DocumentBatch> {
  for await (const chunk of plainStream(path, file, compression, offset, length)) {
    for (let at = 0; at < chunk.length; ) {
      const room = cutter.room(BATCH_BYTES);
      const take = Math.min(room.length, chunk.length - at);
      chunk.copy(room, 0, at, at + take);
      at += take;
      const batch = cutter.filled(take, false);
      if (batch) yield batch;
    }
  }
  const rest = cutter.filled(0, true);
  if (rest) yield rest;
}

/** The bytes of a file as they were before they were compressed. */
export async function* plainStream(
  path: string,
  file: string,
  compression: Compression,
  offset = 0,
  length = Number.POSITIVE_INFINITY,
): AsyncGenerator<Buffer, void, void> {
  if (compression === 'zstd') {
    throw new GodwitError('GW2103', `${file} is compressed with Zstandard in one piece, which Godwit does not write`, {
      details: { file },
    });
  }
  const from = createReadStream(path, { start: offset, end: offset + length - 1, highWaterMark: 1024 * 1024 });
  const stream = compression === 'gzip' ? from.pipe(zlib.createGunzip({ chunkSize: 256 * 1024 })) : from;
  // `pipe` hands no failures on.
  from.on('error', (error) => stream.destroy(error));
  try {
    for await (const chunk of stream) yield chunk as Buffer;
  } catch (error) {
    if (error instanceof GodwitError) throw error;
    const code = (error as NodeJS.ErrnoException).code ?? '';
    if (code.startsWith('Z_')) throw damaged(path, offset, (error as Error).message);
    await inFile(path, () => Promise.reject(error));
  } finally {
    from.destroy();
    stream.destroy();
  }
}

function truncated(file: string, at: number): GodwitError {
  return new GodwitError('GW2101', `${file} ends at byte ${at}, in the middle of its documents`, {
    details: { file, offset: at },
  });
}

function damaged(file: string, offset: number, why: string): GodwitError {
  return new GodwitError('GW2101', `${file} is damaged at byte ${offset} or after: ${why}`, {
    details: { file, offset },
  });
}

/** Cuts a stream of documents where one ends; what is left over comes first in the next batch. */
class DocumentCutter {
  readonly #file: string;
  #memory = Buffer.allocUnsafeSlow(BATCH_BYTES + LONGEST_DOCUMENT);
  #filled = 0;
  /** Where the documents end that were given last; the rest moves to the front. */
  #given = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Memory for up to `most` more bytes. */
  room(most: number): Buffer {
    this.#close();
    const end = Math.min(this.#memory.length, this.#filled + Math.max(most, 1));
    return this.#memory.subarray(this.#filled, end);
  }

  /** `length` bytes were put there. Gives the whole documents once they are worth it, or at the `end`. */
  filled(length: number, end: boolean): DocumentBatch | undefined {
    this.#filled += length;
    if (!end && this.#filled < BATCH_BYTES) return undefined;
    const { at, documents } = this.#count(this.#memory, this.#filled);
    if (documents === 0) return undefined;
    this.#given = at;
    return { docs: this.#memory.subarray(0, at), documents };
  }

  /** Documents that lie in one piece already. */
  *whole(plain: Buffer): Generator<DocumentBatch> {
    for (let at = 0; at < plain.length; ) {
      const piece = plain.subarray(at, Math.min(plain.length, at + BATCH_BYTES + LONGEST_DOCUMENT));
      const counted = this.#count(piece, piece.length, BATCH_BYTES);
      if (counted.documents === 0) throw this.#torn();
      yield { docs: piece.subarray(0, counted.at), documents: counted.documents };
      at += counted.at;
    }
  }

  /** Nothing may be left over. */
  end(): void {
    this.#close();
    if (this.#filled > 0) throw this.#torn();
  }

  #close(): void {
    if (this.#given === 0) return;
    this.#memory.copyWithin(0, this.#given, this.#filled);
    this.#filled -= this.#given;
    this.#given = 0;
  }

  #count(buf: Buffer, end: number, most = Number.POSITIVE_INFINITY): { at: number; documents: number } {
    let at = 0;
    let documents = 0;
    while (at + 4 <= end && at < most) {
      const length = buf.readInt32LE(at);
      if (length < EMPTY_DOCUMENT_SIZE || length > LONGEST_DOCUMENT) throw this.#noDocument();
      if (at + length > end) break;
      if (buf[at + length - 1] !== 0) throw this.#noDocument();
      at += length;
      documents += 1;
    }
    return { at, documents };
  }

  #noDocument(): GodwitError {
    return new GodwitError('GW2101', `${this.#file} is damaged: it holds something that is no document`, {
      details: { file: this.#file },
    });
  }

  #torn(): GodwitError {
    return new GodwitError('GW2101', `${this.#file} ends in the middle of a document`, {
      details: { file: this.#file },
    });
  }
}
