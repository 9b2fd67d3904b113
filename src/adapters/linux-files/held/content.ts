/**
 * What a regular file is read through: a descriptor, or, of one that cannot be opened, what can be had instead. All that
 * reads contents goes through here.
 */
import { closeSync, readSync } from 'node:fs';
import type { Name } from '../libc/bytes.ts';
import { type Extent, nextData } from '../libc/extents.ts';
import { readInodeFlags } from '../libc/inode-flags.ts';
import { errnoOf } from '../libc/native.ts';
import { openForReading } from '../libc/open.ts';
import { type Stat, statAt, statFd } from '../libc/stat.ts';
import { readXattrs, type Xattrs } from '../libc/xattr.ts';
import { handedDescriptor } from './handed.ts';
import { HeldFile } from './held-file.ts';

export type Content = number | HeldFile;

/** What an open fails with when somebody has the file alone, or refuses it; not when it is gone or another thing. */
const REFUSALS = ['EAGAIN', 'EPERM', 'EACCES', 'EBUSY', 'ETXTBSY', 'EIO', 'ENOSPC', 'EDQUOT'];

/** An open that failed, and why nothing else helped. */
class Unreadable extends Error {
  readonly code: string;
  readonly syscall = 'open';
  readonly why: string;

  constructor(code: string, why: string) {
    super(`open: ${code}; ${why}`);
    this.code = code;
    this.why = why;
  }
}

/** For people: errno's name of what a call failed with, and why nothing else helped. */
export function unreadableText(error: unknown): string {
  return error instanceof Unreadable
    ? `${error.code}; its sectors cannot be read: ${error.why}`
    : (errnoOf(error) ?? '');
}

/** `onHeld`: it could not be opened, and how it is read all the same. */
export function openContent(dirFd: number, name: Name, onHeld: (how: string) => void): Content {
  try {
    return openForReading(dirFd, name);
  } catch (error) {
    const code = errnoOf(error) ?? '';
    if (!REFUSALS.includes(code)) throw error;
    const stat = statAt(dirFd, name);
    if (stat.kind !== 'file') throw error;
    const held = HeldFile.open(dirFd, name);
    if (typeof held === 'string') throw new Unreadable(code, held);
    if (held !== undefined) {
      onHeld(`${code}, from its sectors`);
      return held;
    }
    // Asked to by our open, it may have let go by now.
    if (code === 'EAGAIN') return openForReading(dirFd, name);
    const handed = handedDescriptor(dirFd, name, stat);
    if (handed === undefined) throw error;
    onHeld(`${code}, by the kernel's own descriptor`);
    return handed;
  }
}

export function closeContent(content: Content): void {
  if (typeof content === 'number') closeSync(content);
  else content.close();
}

export function withContent<T>(content: Content, work: (content: Content) => T): T {
  try {
    return work(content);
  } finally {
    closeContent(content);
  }
}

export function statOf(content: Content): Stat {
  return typeof content === 'number' ? statFd(content) : content.stat();
}

/** Whether nobody has changed or moved it since. `now`: what it is like after that. */
export function isStill(content: Content, { signature }: Stat, now = statOf(content)): boolean {
  return now.signature === signature && (typeof content === 'number' || content.isInPlace);
}

export function flagsOf(content: Content): number {
  return typeof content === 'number' ? readInodeFlags(content) : content.flags;
}

export function xattrsOf(content: Content): Xattrs {
  return typeof content === 'number' ? readXattrs(content) : content.xattrs();
}

/** The next data at or after `from`; undefined when there is only a hole up to the end. */
export function nextDataOf(content: Content, from: number, size: number): Extent | undefined {
  return typeof content === 'number' ? nextData(content, from, size) : content.nextData(from, size);
}

/** Reads up to `length` bytes; fewer only at the end of the file. */
export function readFully(content: Content, into: Buffer, at: number, length: number, position: number): number {
  if (typeof content !== 'number') return content.read(into, at, length, position);
  let done = 0;
  while (done < length) {
    const read = readSync(content, into, at + done, length - done, position + done);
    if (read === 0) break;
    done += read;
  }
  return done;
}
