/**
 * Walks a tree in its canonical order: names of a directory by their bytes,
 * each directory where its name stands, depth first. Never follows a link, opens
 * no FIFO, and stays out of what lives in memory or elsewhere.
 */
import { closeSync } from 'node:fs';
import { type BytePath, joinPath, type Name } from '../libc/bytes.ts';
import { listNames } from '../libc/directory.ts';
import { whyLeft } from '../libc/file-system.ts';
import type { NameList } from '../libc/name-list.ts';
import { errnoOf } from '../libc/native.ts';
import { O, openAt, openForReading, openWithoutMounts, unless, withFd } from '../libc/open.ts';
import { type Stat, statAt, statFd } from '../libc/stat.ts';
import type { OnRemark } from './remark.ts';

export interface EnterStep {
  readonly kind: 'enter';
  readonly path: BytePath;
  readonly name: Name;
  readonly fd: number;
  readonly stat: Stat;
  /** The place of a mount whose files are not carried. */
  readonly isLeft: boolean;
}

export interface EntryStep {
  readonly kind: 'entry';
  /** The directory that holds it. */
  readonly dirFd: number;
  readonly path: BytePath;
  readonly name: Name;
  readonly stat: Stat;
}

/** One step of the walk; descriptors are good until the next step. */
export type Step =
  | EnterStep
  | EntryStep
  | { readonly kind: 'leave'; readonly path: BytePath; readonly fd: number; readonly stat: Stat };

export interface WalkOptions {
  /** Identities of directories that are not entered nor carried: Godwit's own. */
  readonly own: ReadonlySet<string>;
  readonly onRemark: OnRemark;
}

/** A directory that is open. */
interface OpenDirectory {
  readonly path: BytePath;
  readonly fd: number;
  readonly stat: Stat;
}

interface Open extends OpenDirectory {
  readonly names: NameList;
  next: number;
}

/** What vanishes between two looks is no error: it is gone, and a later round says so. */
export const GONE = ['ENOENT', 'ESTALE', 'ENOTDIR', 'ELOOP'] as const;

/** The tree below an open directory, which stays open. Its own step has the empty path and name. */
export function* walk(rootFd: number, options: WalkOptions): Generator<Step, void, void> {
  const open: Open[] = [];
  const enter = (path: BytePath, fd: number, stat: Stat, names: NameList) =>
    open.push({ path, fd, stat, names, next: 0 });
  try {
    const root = statFd(rootFd);
    yield { kind: 'enter', path: '', name: '', fd: rootFd, stat: root, isLeft: false };
    enter('', rootFd, root, listNames(rootFd));
    while (open.length > 0) {
      const top = open.at(-1) as Open;
      const name = top.names.at(top.next);
      if (name === undefined) {
        yield { kind: 'leave', path: top.path, fd: top.fd, stat: top.stat };
        open.pop();
        top.names.release?.();
        if (top.fd !== rootFd) closeSync(top.fd);
        continue;
      }
      top.next += 1;
      const step = look(top, name, options);
      if (step === undefined) continue;
      if (step.kind === 'entry') {
        yield step;
        continue;
      }
      try {
        // A directory that was removed while it is open has no names.
        const names = step.isLeft ? [] : (unless(GONE, () => listNames(step.fd)) ?? []);
        enter(step.path, step.fd, step.stat, names);
        yield step;
      } catch (error) {
        if (open.at(-1)?.fd !== step.fd) closeSync(step.fd);
        throw error;
      }
    }
  } finally {
    for (const { fd } of open) if (fd !== rootFd) closeSync(fd);
  }
}

/** What a name of an open directory is now; undefined when it is not there or not carried. Of a directory the caller closes `fd`. */
export function look(directory: OpenDirectory, name: Name, options: WalkOptions): EnterStep | EntryStep | undefined {
  const { fd: dirFd } = directory;
  const stat = unless(GONE, () => statAt(dirFd, name));
  if (stat === undefined || (directory.stat.isMountRoot && isLostAndFound(name, stat))) return undefined;
  const path = joinPath(directory.path, name);
  if (options.own.has(stat.identity)) {
    options.onRemark({ why: 'own', path });
    return undefined;
  }
  if (stat.kind === 'socket') {
    options.onRemark({ why: 'socket', path });
    return undefined;
  }
  if (stat.kind !== 'directory') return { kind: 'entry', dirFd, path, name, stat };
  const fd = openDirectory(dirFd, name, path, options);
  if (fd === undefined) return undefined;
  const here = atMount(dirFd, fd, name, path, options);
  if (here.fd !== fd) closeSync(fd);
  try {
    return { kind: 'enter', path, name, fd: here.fd, stat: statFd(here.fd), isLeft: here.isLeft };
  } catch (error) {
    closeSync(here.fd);
    throw error;
  }
}

/** Belongs to the file system itself: mkfs makes it. */
function isLostAndFound(name: Name, stat: Stat): boolean {
  return name === 'lost+found' && stat.kind === 'directory' && stat.uid === 0 && (stat.mode & 0o7777) === 0o700;
}

function openDirectory(dirFd: number, name: Name, path: BytePath, { onRemark }: WalkOptions): number | undefined {
  try {
    return openForReading(dirFd, name, O.DIRECTORY);
  } catch (error) {
    const code = errnoOf(error);
    if (code === undefined) throw error;
    if (!(GONE as readonly string[]).includes(code)) onRemark({ why: 'unreadable', path, detail: code });
    return undefined;
  }
}

/**
 * What stands for a directory: itself, but of a mount that is left out only the
 * mount point, as it is below the mount. Files down there are seen by nobody until
 * it is unmounted: they are told of, not carried.
 */
function atMount(
  parentFd: number,
  fd: number,
  name: Name,
  path: BytePath,
  { onRemark }: WalkOptions,
): { readonly fd: number; readonly isLeft: boolean } {
  if (!statFd(fd).isMountRoot) return { fd, isLeft: false };
  const left = whyLeft(fd);
  if (left !== undefined) onRemark({ why: left.why, path, detail: left.name });
  const below = openBelowMount(parentFd, name);
  if (below === undefined) {
    onRemark({ why: 'unseen', path });
    return { fd, isLeft: left !== undefined };
  }
  const hidden = listNames(below).length;
  if (hidden > 0) onRemark({ why: 'hidden', path, detail: `${hidden} names` });
  if (left !== undefined) return { fd: below, isLeft: true };
  closeSync(below);
  return { fd, isLeft: false };
}

function openBelowMount(parentFd: number, name: Name): number | undefined {
  const bare = openWithoutMounts(parentFd);
  if (bare === undefined) return undefined;
  return withFd(bare, () => unless(GONE, () => openAt(bare, name, O.RDONLY | O.DIRECTORY)));
}
