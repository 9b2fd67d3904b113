import { closeSync } from 'node:fs';
import type { Name } from '../libc/bytes.ts';
import { removeAll } from '../libc/change.ts';
import { readNames } from '../libc/directory.ts';
import { areLocking, readInodeFlags, writeInodeFlags } from '../libc/inode-flags.ts';
import { errnoOf } from '../libc/native.ts';
import { O, openAt } from '../libc/open.ts';
import { type Stat, statAt } from '../libc/stat.ts';

/** Removes a name with all below it, also what is locked by flags. */
export function removeUnlocked(dirFd: number, name: Name): void {
  try {
    removeAll(dirFd, name);
  } catch (error) {
    if (errnoOf(error) !== 'EPERM') throw error;
    unlock(dirFd, name, statAt(dirFd, name));
    removeAll(dirFd, name);
  }
}

/** Takes the flags away that keep anything below from being removed. */
function unlock(dirFd: number, name: Name, stat: Stat): void {
  if (stat.kind !== 'file' && stat.kind !== 'directory') return;
  const fd = openAt(dirFd, name, O.RDONLY | O.NONBLOCK);
  try {
    if (areLocking(readInodeFlags(fd))) writeInodeFlags(fd, 0);
    if (stat.kind === 'directory') for (const child of readNames(fd)) unlock(fd, child, statAt(fd, child));
  } finally {
    closeSync(fd);
  }
}
