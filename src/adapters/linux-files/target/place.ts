import { closeSync } from 'node:fs';
import { type BytePath, joinPath, type Name } from '../libc/bytes.ts';
import { makeDirectory } from '../libc/change.ts';
import { errnoOf } from '../libc/native.ts';
import { O, openAt, openBeneath } from '../libc/open.ts';

/**
 * The root that everything is written below, and the directories in it that
 * stand for those of the source. Nothing is ever opened but beneath it.
 */
export class Place {
  readonly rootFd: number;
  readonly #targets: readonly BytePath[];

  constructor(rootFd: number, targets: readonly BytePath[]) {
    this.rootFd = rootFd;
    this.#targets = targets;
  }

  get count(): number {
    return this.#targets.length;
  }

  /** Opens a directory of a mapping; the empty path is its root. */
  openDirectory(mapping: number, path: BytePath): number {
    return openBeneath(this.rootFd, this.#inRoot(mapping, path));
  }

  #inRoot(mapping: number, path: BytePath): BytePath {
    const target = this.#targets[mapping];
    if (target === undefined) throw new Error(`There is no mapping ${mapping}`);
    return target === '' ? path : path === '' ? target : joinPath(target, path);
  }

  /** Makes the root of a mapping with all above it; tells whether it is empty. */
  makeRoot(mapping: number): void {
    let fd = openBeneath(this.rootFd, '');
    try {
      for (const name of this.#inRoot(mapping, '').split('/')) {
        if (name === '') continue;
        const next = openOrMake(fd, name);
        closeSync(fd);
        fd = next;
      }
    } finally {
      closeSync(fd);
    }
  }
}

function openOrMake(dirFd: number, name: Name): number {
  try {
    makeDirectory(dirFd, name, 0o755);
  } catch (error) {
    if (errnoOf(error) !== 'EEXIST') throw error;
  }
  return openAt(dirFd, name, O.RDONLY | O.DIRECTORY);
}

/** Whether this can be one name: an operation of a hostile source must not say `..` or `a/b`. */
export function isOneName(name: Name): boolean {
  return name !== '' && name !== '.' && name !== '..' && !name.includes('/') && !name.includes('\0');
}

/** Whether this is a path below a root: names, and none of them leads back. */
export function isBelow(path: BytePath): boolean {
  return path === '' || path.split('/').every(isOneName);
}
