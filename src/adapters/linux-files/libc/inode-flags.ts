/** What `lsattr` shows and `chattr` sets. */
import { checked, libc, SystemError } from './native.ts';

const GETFLAGS = 0x8008_6601;
const SETFLAGS = 0x4008_6602;

const IMMUTABLE = 0x10;
const APPEND = 0x20;
/** Secure deletion, undelete, compress, sync, immutable, append, nodump, noatime; nocompress, notail, dirsync, topdir, nocow, project inherit. */
const CARRIED =
  0x1 |
  0x2 |
  0x4 |
  0x8 |
  IMMUTABLE |
  APPEND |
  0x40 |
  0x80 |
  0x400 |
  0x8000 |
  0x1_0000 |
  0x2_0000 |
  0x80_0000 |
  0x2000_0000;
/** Has no effect once a file has content, and cannot be set any more then. */
const NOCOW = 0x80_0000;

const word = Buffer.alloc(8);

/** Those that can be carried; none where the file system has no flags. */
export function readInodeFlags(fd: number): number {
  const raw = rawFlags(fd);
  return raw === undefined ? 0 : raw & CARRIED;
}

/** All that the file system says; undefined where it has no flags. */
export function rawFlags(fd: number): number | undefined {
  word.fill(0);
  if (libc().ioctl(fd, GETFLAGS, word) >= 0) return word.readUInt32LE(0);
  const error = new SystemError('ioctl', libc().errno());
  if (['ENOTTY', 'EOPNOTSUPP', 'ENOSYS', 'EINVAL'].includes(error.code)) return undefined;
  throw error;
}

/** Sets exactly these of the flags that are carried; what the file system itself keeps stays. */
export function writeInodeFlags(fd: number, flags: number): void {
  const raw = rawFlags(fd);
  if (raw === undefined) {
    if (flags === 0) return;
    throw new SystemError('ioctl', 95);
  }
  const next = ((raw & ~CARRIED) | (flags & CARRIED)) >>> 0;
  if (next === raw) return;
  word.fill(0);
  word.writeUInt32LE(next, 0);
  checked(libc().ioctl(fd, SETFLAGS, word), 'ioctl');
}

/** With these a name cannot be linked, renamed, removed or written any more, so they come last. */
export function areLocking(flags: number): boolean {
  return (flags & (IMMUTABLE | APPEND)) !== 0;
}

/** Those that must be set while a file is still empty. */
export function beforeContent(flags: number): number {
  return flags & NOCOW;
}
