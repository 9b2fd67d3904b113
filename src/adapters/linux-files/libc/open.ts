/** Opening, always relative to an open directory, and never through a symbolic link. */
import { closeSync } from 'node:fs';
import type { BytePath, Name } from './bytes.ts';
import { toC } from './bytes.ts';
import { checked, errnoOf, libc, SYSCALL } from './native.ts';

export const O = {
  RDONLY: 0,
  WRONLY: 1,
  RDWR: 2,
  CREAT: 0o100,
  EXCL: 0o200,
  NONBLOCK: 0o4000,
  // Four of these differ between the two families of machines.
  DIRECTORY: process.arch === 'arm64' ? 0o40000 : 0o200000,
  NOFOLLOW: process.arch === 'arm64' ? 0o100000 : 0o400000,
  NOATIME: 0o1000000,
  CLOEXEC: 0o2000000,
  PATH: 0o10000000,
} as const;

const RESOLVE_NO_MAGICLINKS = 0x02;
const RESOLVE_NO_SYMLINKS = 0x04;
const RESOLVE_BENEATH = 0x08;
const OPEN_TREE_CLONE = 1;
const AT_EMPTY_PATH = 0x1000;
export const AT_FDCWD = -100;
/** The kernel takes no path of 4096 bytes with its NUL; what is longer is walked in pieces. */
const LONGEST_PATH = 4000;

const how = Buffer.alloc(24);

/** Opens a name in a directory; of a symbolic link it fails (ELOOP) unless PATH is asked for. */
export function openAt(dirFd: number, name: Name, flags: number, mode = 0): number {
  return checked(libc().openat(dirFd, toC(name), flags | O.NOFOLLOW | O.CLOEXEC, mode), 'openat');
}

/** Opens for reading without changing the time of access where that is allowed, and without waiting for a FIFO. */
export function openForReading(dirFd: number, name: Name, extra = 0): number {
  const flags = O.RDONLY | O.NONBLOCK | O.NOFOLLOW | O.CLOEXEC | extra;
  const fd = libc().openat(dirFd, toC(name), flags | O.NOATIME, 0);
  if (fd >= 0) return fd;
  // Only owners may ask for it.
  return checked(libc().openat(dirFd, toC(name), flags, 0), 'openat');
}

/** A path that a person named: symbolic links on the way are followed, here only. */
export function openNamedDirectory(path: BytePath): number {
  return checked(libc().openat(AT_FDCWD, toC(path), O.RDONLY | O.DIRECTORY | O.CLOEXEC, 0), 'openat');
}

/**
 * Opens a directory below `rootFd`. The kernel refuses to leave it, whatever
 * stands on the way or is put there meanwhile (openat2: beneath, no symbolic
 * links). Paths of any length.
 */
export function openBeneath(rootFd: number, path: BytePath, flags: number = O.RDONLY | O.DIRECTORY): number {
  let fd = rootFd;
  let rest = path;
  for (;;) {
    const cut = rest.length <= LONGEST_PATH ? rest.length : rest.lastIndexOf('/', LONGEST_PATH);
    const piece = rest.slice(0, cut);
    const isLast = cut === rest.length;
    let next: number;
    try {
      next = openPiece(fd, piece === '' ? '.' : piece, isLast ? flags : O.PATH | O.DIRECTORY);
    } finally {
      if (fd !== rootFd) closeSync(fd);
    }
    if (isLast) return next;
    fd = next;
    rest = rest.slice(cut + 1);
  }
}

function openPiece(fd: number, path: BytePath, flags: number): number {
  how.fill(0);
  how.writeUInt32LE((flags | O.CLOEXEC) >>> 0, 0);
  how.writeUInt32LE(RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS | RESOLVE_NO_MAGICLINKS, 16);
  return checked(libc().openat2(SYSCALL.openat2, fd, toC(path), how, how.length), 'openat2');
}

/**
 * The directory as it is below everything that is mounted in it; undefined where
 * that may not be looked at (it needs CAP_SYS_ADMIN).
 */
export function openWithoutMounts(dirFd: number): number | undefined {
  const flags = OPEN_TREE_CLONE | O.CLOEXEC | AT_EMPTY_PATH;
  const fd = libc().openTree(SYSCALL.openTree, dirFd, toC(''), flags);
  return fd >= 0 ? fd : undefined;
}

/** Runs with an open descriptor and closes it, whatever happens. */
export function withFd<T>(fd: number, work: (fd: number) => T): T {
  try {
    return work(fd);
  } finally {
    closeSync(fd);
  }
}

/** The value, or undefined where the call failed with one of these. */
export function unless<T>(codes: readonly string[], call: () => T): T | undefined {
  try {
    return call();
  } catch (error) {
    if (codes.includes(errnoOf(error) ?? '')) return undefined;
    throw error;
  }
}
