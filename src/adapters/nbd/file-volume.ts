import { close, constants, fdatasync, fdatasyncSync, open, read, readSync, write, writeSync, writev } from 'node:fs';
import { readFile, stat } from 'node:fs/promises';
import { promisify } from 'node:util';
import { GodwitError } from '../../kernel/errors.ts';
import type { BlockSizes, Extent, Volume } from '../../kernel/protect/volume.ts';
import { GroupCommit } from './group-commit.ts';
import { Pace } from './pace.ts';
import { USUAL_PAYLOAD } from './protocol.ts';
import { Solitude } from './solitude.ts';

/** What is longer goes to the thread pool always: copying it alone would hold up the others. */
const ON_THE_SPOT_UP_TO = 128 << 10;
const ZEROES = Buffer.alloc(1 << 20);
/** Zero buffers in one call (IOV_MAX is 1024). */
const ZEROES_AT_ONCE = 16;
const SECTOR = 512;
const DONE = Promise.resolve();

const opened = promisify(open);
const closed = promisify(close);
const synced = promisify(fdatasync);

export interface FileVolumeOptions {
  readonly readOnly?: boolean;
}

/** A file or block device as a volume, through the page cache; fdatasync makes what was written durable. */
export class FileVolume implements Volume, AsyncDisposable {
  readonly size: number;
  readonly blockSizes: BlockSizes = { least: 1, preferred: 4096, most: USUAL_PAYLOAD };
  /** One page cache stands behind all connections, and fdatasync is of the whole file. */
  readonly coversAllConnections = true;
  /** Zeroes are written like anything else. */
  readonly fastZeroes = false;
  readonly #path: string;
  readonly #fd: number;
  readonly #commits: GroupCommit;
  readonly #reads = new Pace();
  readonly #writes = new Pace();
  readonly #solitude = new Solitude();

  /** Its size is what the file or device has now, and stays so. */
  static async open(path: string, options: FileVolumeOptions = {}): Promise<FileVolume> {
    try {
      const fd = await opened(path, options.readOnly ? constants.O_RDONLY : constants.O_RDWR);
      try {
        return new FileVolume(path, fd, await sizeOf(path));
      } catch (error) {
        await closed(fd);
        throw error;
      }
    } catch (cause) {
      if (cause instanceof GodwitError) throw cause;
      const why = cause instanceof Error ? cause.message : String(cause);
      throw new GodwitError('GW2201', `The volume ${path} cannot be opened: ${why}`, { details: { path }, cause });
    }
  }

  private constructor(path: string, fd: number, size: number) {
    this.#path = path;
    this.#fd = fd;
    this.size = size;
    this.#commits = new GroupCommit(() => this.#sync());
  }

  /** How many times fdatasync was called: fewer than there were flushes when they came together. */
  get syncs(): number {
    return this.#commits.syncs;
  }

  read(offset: number, into: Buffer): Promise<void> {
    this.#solitude.called();
    if (into.length <= ON_THE_SPOT_UP_TO) {
      const started = performance.now();
      if (this.#reads.isQuick(started)) {
        try {
          const had = readSync(this.#fd, into, 0, into.length, offset);
          this.#reads.took(started, performance.now());
          if (had === into.length) return DONE;
        } catch {
          // The other way says what is wrong.
        }
      }
    }
    return this.#readInPool(offset, into);
  }

  write(offset: number, data: Buffer, durable: boolean): Promise<void> {
    this.#solitude.called();
    let from = 0;
    if (data.length <= ON_THE_SPOT_UP_TO) {
      const started = performance.now();
      if (this.#writes.isQuick(started)) {
        try {
          from = writeSync(this.#fd, data, 0, data.length, offset);
          this.#writes.took(started, performance.now());
          if (from === data.length) return durable ? this.flush() : DONE;
        } catch {
          // The other way says what is wrong.
        }
      }
    }
    return this.#writeInPool(offset, data, from, durable);
  }

  async writeZeroes(
    offset: number,
    length: number,
    { durable }: { readonly durable: boolean; readonly mayTrim: boolean },
  ): Promise<void> {
    this.#solitude.called();
    for (let done = 0; done < length; ) {
      const buffers: Buffer[] = [];
      for (let left = length - done; left > 0 && buffers.length < ZEROES_AT_ONCE; left -= ZEROES.length) {
        buffers.push(left < ZEROES.length ? ZEROES.subarray(0, left) : ZEROES);
      }
      const from = offset + done;
      done += await this.#call('written', (then) => writev(this.#fd, buffers, from, then));
    }
    if (durable) await this.flush();
  }

  /** Node has no way to punch a hole, and nothing needs to be given back: what is there stays. */
  trim(_offset: number, _length: number, durable: boolean): Promise<void> {
    return durable ? this.flush() : DONE;
  }

  async flush(): Promise<void> {
    this.#solitude.called();
    try {
      await this.#commits.commit();
    } catch (error) {
      throw this.#failed('made durable', error);
    }
  }

  /** Node has no way to find holes: nothing is known to be one. */
  async extents(_offset: number, length: number): Promise<readonly Extent[]> {
    return [{ length, hole: false, zero: false }];
  }

  /** No call may be under way. What no flush covered may be lost in a crash, as before. */
  async close(): Promise<void> {
    await closed(this.#fd);
  }

  [Symbol.asyncDispose](): Promise<void> {
    return this.close();
  }

  async #sync(): Promise<void> {
    const started = performance.now();
    if (this.#solitude.isAlone) {
      fdatasyncSync(this.#fd);
      this.#solitude.took(performance.now() - started);
      return;
    }
    this.#solitude.began();
    try {
      await synced(this.#fd);
    } finally {
      this.#solitude.ended(performance.now() - started);
    }
  }

  async #readInPool(offset: number, into: Buffer): Promise<void> {
    for (let had = 0; had < into.length; ) {
      const from = had;
      const got = await this.#call('read', (then) =>
        read(this.#fd, into, from, into.length - from, offset + from, then),
      );
      if (got === 0) throw this.#failed('read', new Error(`it ends at ${offset + had}`));
      had += got;
    }
  }

  async #writeInPool(offset: number, data: Buffer, done: number, durable: boolean): Promise<void> {
    for (let from = done; from < data.length; ) {
      const at = from;
      from += await this.#call('written', (then) => write(this.#fd, data, at, data.length - at, offset + at, then));
    }
    if (durable) await this.flush();
  }

  #call(what: string, start: (then: (error: Error | null, bytes: number) => void) => void): Promise<number> {
    return new Promise((resolve, reject) => {
      start((error, bytes) => {
        if (error === null) resolve(bytes);
        else reject(this.#failed(what, error));
      });
    });
  }

  #failed(what: string, cause: unknown): GodwitError {
    const why = cause instanceof Error ? cause.message : String(cause);
    return new GodwitError('GW5201', `The volume ${this.#path} could not be ${what}: ${why}`, {
      details: { path: this.#path },
      cause,
    });
  }
}

/** A block device's own size is 0 to stat; the kernel tells it in /sys. */
async function sizeOf(path: string): Promise<number> {
  const stats = await stat(path);
  if (stats.isFile()) return stats.size;
  if (!stats.isBlockDevice()) {
    throw new GodwitError('GW2201', `The volume ${path} is neither a file nor a block device`, { details: { path } });
  }
  const [major, minor] = majorMinor(stats.rdev);
  const sectors = Number(await readFile(`/sys/dev/block/${major}:${minor}/size`, 'utf8'));
  return sectors * SECTOR;
}

/** As glibc's gnu_dev_major and gnu_dev_minor, below 2^32. */
function majorMinor(rdev: number): [number, number] {
  return [(rdev >>> 8) & 0xfff, (rdev & 0xff) | ((rdev >>> 12) & 0xfff00)];
}
