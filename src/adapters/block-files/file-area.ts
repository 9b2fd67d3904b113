import * as fs from 'node:fs';
import { dirname } from 'node:path';
import { GodwitError } from '../../kernel/errors.ts';
import type { Done, GrowingArea } from '../../kernel/protect/ports.ts';

const ZEROES = Buffer.alloc(1 << 20);

/** A stretch of a file or block device. Its bytes are there before it is opened: a full disk is met then, not later. */
export class FileArea implements GrowingArea {
  /** A block device. */
  readonly isFixed: boolean;
  #bytes: number;
  readonly #path: string;
  readonly #fd: number;
  #syncing = false;
  #waiting: Done[] = [];

  private constructor(path: string, fd: number, bytes: number, isFixed: boolean) {
    this.isFixed = isFixed;
    this.#path = path;
    this.#fd = fd;
    this.#bytes = bytes;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /**
   * Opens a file of exactly `bytes`, made where there is none; or as much of a block device, which nobody else
   * may have mounted or taken.
   * @param options.allocate write it once with zeroes when it is made, so that its space is taken
   * @param options.mayHaveGrown what is there may be larger: all of it is the area then
   * @throws GodwitError GW1001 when a file of another size is there, or a device that is too small; GW2204 when the device is in use
   */
  static open(
    path: string,
    bytes: number,
    options: { readonly allocate: boolean; readonly mayHaveGrown?: boolean },
  ): FileArea {
    if (fs.existsSync(path) && fs.statSync(path).isBlockDevice())
      return new FileArea(path, openDevice(path, bytes), bytes, true);
    if (options.allocate && !fs.existsSync(path)) makeWhole(path, bytes);
    let size = bytes;
    const fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_CREAT, 0o600);
    try {
      const stat = fs.fstatSync(fd);
      if (stat.isFile() && stat.size === 0) make(fd, bytes, options.allocate);
      else if (stat.isFile() && options.mayHaveGrown && stat.size > bytes) size = stat.size;
      else if (stat.isFile() && stat.size !== bytes) {
        throw new GodwitError('GW1001', `${path} has ${stat.size} bytes and should have ${bytes}`);
      }
    } catch (error) {
      fs.closeSync(fd);
      throw error;
    }
    return new FileArea(path, fd, size, false);
  }

  close(): void {
    fs.closeSync(this.#fd);
  }

  read(position: number, into: Buffer): Promise<void> {
    return new Promise((resolve, reject) => {
      const from = (at: number) => {
        if (at === into.length) return resolve();
        fs.read(this.#fd, into, at, into.length - at, position + at, (error, count) => {
          if (error) return reject(this.#failed('read', error));
          // Beyond the end of a sparse file that was never written there.
          if (count === 0) {
            into.fill(0, at);
            return resolve();
          }
          from(at + count);
        });
      };
      from(0);
    });
  }

  write(position: number, data: Buffer, done: Done): void {
    fs.write(this.#fd, data, 0, data.length, position, (error, count) => {
      if (error) done(this.#failed('write', error));
      else if (count < data.length) this.write(position + count, data.subarray(count), done);
      else done();
    });
  }

  clear(position: number, bytes: number, done: Done): void {
    const part = Math.min(bytes, ZEROES.length);
    this.write(position, ZEROES.subarray(0, part), (error) => {
      if (error || part === bytes) done(error);
      else this.clear(position + part, bytes - part, done);
    });
  }

  grow(bytes: number, done: Done): void {
    if (bytes <= this.#bytes) {
      done();
      return;
    }
    fs.ftruncate(this.#fd, bytes, (error) => {
      if (error) return done(this.#failed('make larger', error));
      // The length is a part of what has to survive.
      fs.fsync(this.#fd, (failure) => {
        if (failure) return done(this.#failed('sync', failure));
        this.#bytes = bytes;
        done();
      });
    });
  }

  /** Whoever asks while a sync is under way waits for the next: that one does not cover what was written since. */
  sync(done: Done): void {
    this.#waiting.push(done);
    if (!this.#syncing) this.#sync();
  }

  #sync(): void {
    const waiting = this.#waiting;
    this.#waiting = [];
    this.#syncing = true;
    fs.fdatasync(this.#fd, (error) => {
      this.#syncing = false;
      const failure = error ? this.#failed('sync', error) : undefined;
      for (const done of waiting) done(failure);
      if (!this.#syncing && this.#waiting.length > 0) this.#sync();
    });
  }

  #failed(what: string, error: NodeJS.ErrnoException): GodwitError {
    return new GodwitError('GW7015', `Cannot ${what} ${this.#path}: ${error.message}`, { cause: error });
  }
}

/** Linux gives a device that is asked for alone only to one, and to nobody while it is mounted. */
function openDevice(path: string, bytes: number): number {
  let fd: number;
  try {
    fd = fs.openSync(path, fs.constants.O_RDWR | fs.constants.O_EXCL);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EBUSY') throw error;
    throw new GodwitError('GW2204', `${path} is mounted, or in use by somebody else`, { cause: error });
  }
  const { rdev } = fs.fstatSync(fd);
  // As the C library packs them.
  const [major, minor] = [(rdev >>> 8) & 0xfff, (rdev & 0xff) | ((rdev >>> 12) & 0xfff00)];
  const there = Number(fs.readFileSync(`/sys/dev/block/${major}:${minor}/size`, 'utf8')) * 512;
  if (there >= bytes) return fd;
  fs.closeSync(fd);
  throw new GodwitError('GW1001', `${path} has ${there} bytes and should have ${bytes} at least`);
}

/** Under its name it is whole: neither a full disk nor a process that is killed leaves a part of it there. */
function makeWhole(path: string, bytes: number): void {
  const unfinished = `${path}.new`;
  const fd = fs.openSync(unfinished, 'w', 0o600);
  try {
    make(fd, bytes, true);
  } catch (error) {
    fs.rmSync(unfinished);
    throw error;
  } finally {
    fs.closeSync(fd);
  }
  fs.renameSync(unfinished, path);
  const dir = fs.openSync(dirname(path), 'r');
  try {
    fs.fsyncSync(dir);
  } finally {
    fs.closeSync(dir);
  }
}

function make(fd: number, bytes: number, allocate: boolean): void {
  if (allocate)
    for (let at = 0; at < bytes; ) at += fs.writeSync(fd, ZEROES, 0, Math.min(ZEROES.length, bytes - at), at);
  else fs.ftruncateSync(fd, bytes);
  fs.fsyncSync(fd);
}
