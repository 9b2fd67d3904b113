/**
 * Gives what is there its metadata in the one order that works: owner (which
 * takes capabilities and set-user bits away), mode, attributes with ACLs and
 * capabilities, times, and last the flags that lock it all.
 */
import { chmodSync, fchmodSync } from 'node:fs';
import { setOwner, setOwnerAt, setTimes, setTimesAt } from '../libc/change.ts';
import { readInodeFlags, writeInodeFlags } from '../libc/inode-flags.ts';
import { errnoOf } from '../libc/native.ts';
import { O, openAt, withFd } from '../libc/open.ts';
import { readXattrs, removeXattr, setXattr, throughProc } from '../libc/xattr.ts';
import type { Metadata } from '../wire/metadata.ts';

/** What the target cannot keep: its file system or its rights do not allow it. */
export type OnRefused = (what: string) => void;

const CANNOT = ['EOPNOTSUPP', 'EPERM', 'EINVAL', 'ENOSPC', 'E2BIG', 'ENOTTY', 'ERANGE'];

/** Of a file or directory that is open. One that is new and inherited nothing has nothing that would have to go. */
export function setMetadata(fd: number, to: Metadata, onRefused: OnRefused, isBare = false): void {
  setOwner(fd, to.uid, to.gid);
  fchmodSync(fd, to.mode & 0o7777);
  if (!isBare || to.xattrs.length > 0) setXattrs(fd, to, onRefused);
  setTimes(fd, to);
  if (!isBare || to.inodeFlags !== 0) setFlags(fd, to.inodeFlags, onRefused);
}

/** Whether what is made in a directory has flags, a list of rights or a label from the beginning. */
export function givesToChildren(dirFd: number): boolean {
  if (readInodeFlags(dirFd) !== 0) return true;
  return readXattrs(dirFd).some(([name]) => name === 'system.posix_acl_default' || name.startsWith('security.'));
}

export function setFlags(fd: number, flags: number, onRefused: OnRefused): void {
  orRefused(`flags 0x${flags.toString(16)}`, onRefused, () => writeInodeFlags(fd, flags));
}

/** Of a name that cannot be opened: a link, a FIFO, a device. What stands there meanwhile instead of it is not followed. */
export function setMetadataAt(dirFd: number, name: string, to: Metadata, isLink: boolean, onRefused: OnRefused): void {
  setOwnerAt(dirFd, name, to.uid, to.gid);
  withFd(openAt(dirFd, name, O.PATH), (fd) => {
    const path = throughProc(fd);
    if (!isLink) chmodSync(path, to.mode & 0o7777);
    setXattrs(path, to, onRefused);
  });
  setTimesAt(dirFd, name, to);
}

/** Exactly these: what a new file inherited from its directory goes. */
function setXattrs(holder: number | string, { xattrs }: Metadata, onRefused: OnRefused): void {
  for (const [name] of readXattrs(holder)) {
    if (xattrs.some(([wanted]) => wanted === name)) continue;
    orRefused(`taking ${name} away`, onRefused, () => removeXattr(holder, name));
  }
  for (const [name, value] of xattrs) orRefused(name, onRefused, () => setXattr(holder, name, value));
}

function orRefused(what: string, onRefused: OnRefused, work: () => void): void {
  try {
    work();
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined || !CANNOT.includes(code)) throw error;
    onRefused(`${what}: ${code}`);
  }
}
