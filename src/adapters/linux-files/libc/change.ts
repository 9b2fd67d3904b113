/** Making, changing and removing names, relative to an open directory and never through a symbolic link. */
import { closeSync } from 'node:fs';
import type { BytePath, Name } from './bytes.ts';
import { toC } from './bytes.ts';
import { readNames } from './directory.ts';
import { checked, errnoOf, libc, SystemError } from './native.ts';
import { O, openAt } from './open.ts';
import { statAt } from './stat.ts';

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_REMOVEDIR = 0x200;
const AT_EMPTY_PATH = 0x1000;

export function makeDirectory(dirFd: number, name: Name, mode: number): void {
  checked(libc().mkdirat(dirFd, toC(name), mode), 'mkdirat');
}

/** Makes a directory unless something has the name already; tells whether it did. */
export function makeNewDirectory(dirFd: number, name: Name, mode: number): boolean {
  const call = libc();
  // Most often a new one: a failed call costs less than an error that is thrown.
  if (call.mkdirat(dirFd, toC(name), mode) >= 0) return true;
  const error = new SystemError('mkdirat', call.errno());
  if (error.code === 'EEXIST') return false;
  throw error;
}

export function makeNode(dirFd: number, name: Name, mode: number, major: number, minor: number): void {
  checked(libc().mknodat(dirFd, toC(name), mode, deviceNumber(major, minor)), 'mknodat');
}

/** As glibc's makedev packs them. */
function deviceNumber(major: number, minor: number): number {
  const low = (minor & 0xff) | ((major & 0xfff) << 8);
  return (low >>> 0) + (minor >>> 8) * 0x10_0000 + (major >>> 12) * 0x1000_0000_0000;
}

export function makeSymlink(dirFd: number, name: Name, to: BytePath): void {
  checked(libc().symlinkat(toC(to, 1), dirFd, toC(name)), 'symlinkat');
}

const target = Buffer.alloc(4096 + 1);

export function readLink(dirFd: number, name: Name): BytePath {
  return target.toString(
    'latin1',
    0,
    checked(libc().readlinkat(dirFd, toC(name), target, target.length), 'readlinkat'),
  );
}

export function makeLink(fromFd: number, from: Name, toFd: number, to: Name): void {
  checked(libc().linkat(fromFd, toC(from, 1), toFd, toC(to), 0), 'linkat');
}

export function renameAt(fromFd: number, from: Name, toFd: number, to: Name): void {
  checked(libc().renameat(fromFd, toC(from, 1), toFd, toC(to)), 'renameat');
}

/** The owner of a name. */
export function setOwnerAt(dirFd: number, name: Name, uid: number, gid: number): void {
  checked(libc().fchownat(dirFd, toC(name), uid, gid, AT_SYMLINK_NOFOLLOW), 'fchownat');
}

/** The owner of what is open, with PATH or without. */
export function setOwner(fd: number, uid: number, gid: number): void {
  checked(libc().fchownat(fd, toC(''), uid, gid, AT_EMPTY_PATH), 'fchownat');
}

const times = Buffer.alloc(32);

export interface Times {
  readonly atimeSec: number;
  readonly atimeNsec: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
}

/** To the nanosecond; of the name itself, not of what a link leads to. */
export function setTimesAt(dirFd: number, name: Name, to: Times): void {
  checked(libc().utimensat(dirFd, toC(name), packed(to), AT_SYMLINK_NOFOLLOW), 'utimensat');
}

export function setTimes(fd: number, to: Times): void {
  checked(libc().futimens(fd, packed(to)), 'futimens');
}

function packed(to: Times): Buffer {
  writeLong(to.atimeSec, 0);
  writeLong(to.atimeNsec, 8);
  writeLong(to.mtimeSec, 16);
  writeLong(to.mtimeNsec, 24);
  return times;
}

function writeLong(value: number, at: number): void {
  times.writeInt32LE(Math.floor(value / 0x1_0000_0000), at + 4);
  times.writeUInt32LE(value >>> 0, at);
}

/** Removes a name with all below it; a name that is not there is no error. Directories are never entered through a link. */
export function removeAll(dirFd: number, name: Name): void {
  try {
    checked(libc().unlinkat(dirFd, toC(name), 0), 'unlinkat');
    return;
  } catch (error) {
    const code = errnoOf(error);
    if (code === 'ENOENT') return;
    // Of a directory Linux says EISDIR, POSIX EPERM; EPERM may also mean that the file is immutable.
    if (code !== 'EISDIR' && !(code === 'EPERM' && statAt(dirFd, name).kind === 'directory')) throw error;
  }
  // Its own stack: the tree may be deeper than JavaScript's.
  const open: { fd: number; name: Name; names: Name[] }[] = [];
  const enter = (parent: number, child: Name): void => {
    const fd = openAt(parent, child, O.RDONLY | O.DIRECTORY);
    open.push({ fd, name: child, names: readNames(fd) });
  };
  try {
    enter(dirFd, name);
    while (open.length > 0) {
      const top = open.at(-1) as { fd: number; name: Name; names: Name[] };
      const child = top.names.pop();
      if (child === undefined) {
        closeSync(top.fd);
        open.pop();
        checked(libc().unlinkat(open.at(-1)?.fd ?? dirFd, toC(top.name), AT_REMOVEDIR), 'unlinkat');
      } else if (statAt(top.fd, child).kind === 'directory') enter(top.fd, child);
      else checked(libc().unlinkat(top.fd, toC(child), 0), 'unlinkat');
    }
  } finally {
    for (const { fd } of open) closeSync(fd);
  }
}
