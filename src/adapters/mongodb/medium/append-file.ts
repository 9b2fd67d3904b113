import { type FileHandle, open } from 'node:fs/promises';
import xxhash from '@node-rs/xxhash';
import { GodwitError } from '../../../kernel/errors.ts';

const SYNC_EVERY_BYTES = 128 * 1024 * 1024;

/**
 * A file that only grows, with a digest of what is in it. Callers may append
 * at once; each piece lies together, in the order of the calls.
 */
export class AppendFile {
  readonly path: string;
  readonly #handle: FileHandle;
  #digest = xxhash.xxh3.Xxh3.withSeed();
  #size = 0;
  #queue: Promise<unknown> = Promise.resolve();
  /** Begun beside the writing, so that little is left for the end. */
  #syncing: Promise<unknown> = Promise.resolve();
  #syncBegunAt = 0;
  #syncFailure: unknown;

  private constructor(path: string, handle: FileHandle) {
    this.path = path;
    this.#handle = handle;
  }

  /** Makes the file; what was there under its name is gone. Only its owner may read it: it holds business data. */
  static async create(path: string): Promise<AppendFile> {
    return new AppendFile(path, await inFile(path, () => open(path, 'w', 0o600)));
  }

  get size(): number {
    return this.#size;
  }

  /** XXH3-64 of everything appended, 16 hexadecimal digits, as `xxhsum -H3` prints it. */
  get digest(): string {
    return hex64(this.#digest.digest());
  }

  /** Gives the offset at which the pieces begin. They must stay as they are until then. */
  append(pieces: readonly Buffer[]): Promise<number> {
    const turn = this.#queue.then(() => this.#append(pieces));
    this.#queue = turn;
    turn.catch(() => undefined);
    return turn;
  }

  /** Empties the file. */
  clear(): Promise<void> {
    const turn = this.#queue.then(async () => {
      await inFile(this.path, () => this.#handle.truncate(0));
      this.#size = 0;
      this.#syncBegunAt = 0;
      this.#digest = xxhash.xxh3.Xxh3.withSeed();
    });
    this.#queue = turn;
    turn.catch(() => undefined);
    return turn;
  }

  /** Makes everything durable and closes. */
  async finish(): Promise<void> {
    try {
      await this.#queue;
      await this.#syncing;
      // After a failed sync the kernel may have dropped the pages: a second one would promise what is not so.
      if (this.#syncFailure !== undefined) throw this.#syncFailure;
      await inFile(this.path, () => this.#handle.sync());
    } finally {
      await this.#handle.close();
    }
  }

  /** Closes as it is. */
  async abandon(): Promise<void> {
    await this.#queue.catch(() => undefined);
    await this.#syncing;
    await this.#handle.close().catch(() => undefined);
  }

  async #append(pieces: readonly Buffer[]): Promise<number> {
    const offset = this.#size;
    let at = offset;
    for (const piece of pieces) {
      // Beside the write, which is done by another thread.
      const written = this.#write(piece, at);
      this.#digest.update(piece);
      await written;
      at += piece.length;
    }
    this.#size = at;
    if (at - this.#syncBegunAt >= SYNC_EVERY_BYTES) this.#beginSync();
    return offset;
  }

  #beginSync(): void {
    this.#syncBegunAt = this.#size;
    this.#syncing = this.#syncing
      .then(() => inFile(this.path, () => this.#handle.datasync()))
      .catch((error: unknown) => {
        this.#syncFailure ??= error;
      });
  }

  async #write(piece: Buffer, position: number): Promise<void> {
    for (let done = 0; done < piece.length; ) {
      const { bytesWritten } = await inFile(this.path, () =>
        this.#handle.write(piece, done, piece.length - done, position + done),
      );
      done += bytesWritten;
    }
  }
}

/** A 64-bit number as 16 hexadecimal digits. */
export function hex64(value: bigint): string {
  return value.toString(16).padStart(16, '0');
}

/** What the disk says of a file, in Godwit's codes. */
export async function inFile<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw fileError(error, path);
  }
}

const FULL = new Set(['ENOSPC', 'EDQUOT', 'EFBIG']);
const DAMAGED = new Set(['EIO', 'EBADMSG']);
const REFUSED = new Set(['EACCES', 'EPERM', 'EROFS', 'ENOTDIR', 'EISDIR', 'ENAMETOOLONG', 'EEXIST']);

function fileError(error: unknown, path: string): unknown {
  if (error instanceof GodwitError || !(error instanceof Error)) return error;
  const code = String((error as NodeJS.ErrnoException).code);
  const details = { file: path, errno: code };
  if (FULL.has(code)) return new GodwitError('GW4003', `No room for ${path} (${code})`, { details, cause: error });
  if (DAMAGED.has(code))
    return new GodwitError('GW2101', `The disk cannot read or write ${path} (${code})`, { details, cause: error });
  if (code === 'ENOENT') return new GodwitError('GW2102', `${path} is missing`, { details, cause: error });
  if (REFUSED.has(code)) return new GodwitError('GW1001', `${path}: ${error.message}`, { details, cause: error });
  return error;
}
