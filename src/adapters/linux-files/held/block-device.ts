/** The device below a file system, read past every cache: what lies there is what was written back. */
import { closeSync, fstatSync, openSync, readFileSync, readSync } from 'node:fs';
import { errnoOf, libc } from '../libc/native.ts';
import { deviceOf, type Stat } from '../libc/stat.ts';

const O_DIRECT = process.arch === 'arm64' ? 0o200000 : 0o40000;
const O_CLOEXEC = 0o2000000;
/** Where every device may be read directly. */
const ALIGNED = 4096;
const AT_ONCE = 1024 * 1024;

let memory: Buffer | undefined;

export class BlockDevice {
  readonly #fd: number;

  private constructor(fd: number) {
    this.#fd = fd;
  }

  /** That of a file system by its number; in words why it is not to be had. */
  static open(stat: Stat): BlockDevice | string {
    const { major, minor } = deviceOf(stat);
    const number = `${major}:${minor}`;
    try {
      const name = /^DEVNAME=(.+)$/m.exec(readFileSync(`/sys/dev/block/${number}/uevent`, 'utf8'))?.[1];
      if (name === undefined) return `device ${number} has no name`;
      const fd = openSync(`/dev/${name}`, O_DIRECT | O_CLOEXEC);
      const { rdev } = fstatSync(fd);
      // As the kernel packs them.
      if (rdev === ((minor & 0xff) | (major << 8) | ((minor & ~0xff) << 12)) >>> 0) return new BlockDevice(fd);
      closeSync(fd);
      return `/dev/${name} is another device than ${number}`;
    } catch (error) {
      const code = errnoOf(error);
      if (code === undefined) throw error;
      return `device ${number} cannot be read: ${code}`;
    }
  }

  read(into: Buffer, at: number, length: number, position: number): void {
    memory ??= libc().pages(AT_ONCE + ALIGNED);
    for (let done = 0; done < length; ) {
      const from = Math.floor((position + done) / ALIGNED) * ALIGNED;
      const skipped = position + done - from;
      const wanted = Math.min(AT_ONCE, length - done);
      const read = readSync(this.#fd, memory, 0, Math.ceil((skipped + wanted) / ALIGNED) * ALIGNED, from) - skipped;
      // It cannot be shorter than what lies on it, but a broken map may say so.
      if (read <= 0) throw Object.assign(new Error('the device ends here'), { code: 'EIO', syscall: 'read' });
      const good = Math.min(read, wanted);
      memory.copy(into, at + done, skipped, skipped + good);
      done += good;
    }
  }

  close(): void {
    closeSync(this.#fd);
  }
}
