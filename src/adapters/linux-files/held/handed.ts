/**
 * A file that a program which watches opens (a scanner for viruses, say) refuses to everybody. Whoever watches opens gets
 * a descriptor of the file from the kernel with the question: so we watch this one file for as long as one open takes,
 * and keep the descriptor. Everybody who opens it meanwhile is allowed to, as far as we are concerned.
 */
import { closeSync, readSync, writeSync } from 'node:fs';
import { type Name, toC } from '../libc/bytes.ts';
import { checked, errnoOf, libc } from '../libc/native.ts';
import { O } from '../libc/open.ts';
import { type Stat, statFd } from '../libc/stat.ts';

const CLOEXEC_NONBLOCK = 0x3;
/** Asked before those who look at contents. */
const CLASS_PRE_CONTENT = 0x8;
const LARGEFILE = 0o100000;
const MARK_ADD_DONT_FOLLOW = 0x1 | 0x4;
const OPEN_PERM = 0x1_0000;
const ALLOW = 1;
const EVENT = 24;
/** Nobody asks about opens that are refused before: then there is nothing to wait for, the next time either. */
const PATIENCE_MS = 1_000;
const IN_VAIN = 3;

const pause = new Int32Array(new SharedArrayBuffer(4));
const events = Buffer.alloc(64 * EVENT);
let waitedInVain = 0;

/** A descriptor for reading that nobody was asked for; undefined where that is not to be had. */
export function handedDescriptor(dirFd: number, name: Name, stat: Stat): number | undefined {
  if (waitedInVain >= IN_VAIN) return undefined;
  const call = libc();
  const eventFlags = O.RDONLY | O.NONBLOCK | O.NOATIME | O.CLOEXEC | LARGEFILE;
  const group = call.fanotifyInit(CLOEXEC_NONBLOCK | CLASS_PRE_CONTENT, eventFlags);
  if (group < 0) return undefined;
  try {
    checked(call.fanotifyMark(group, MARK_ADD_DONT_FOLLOW, OPEN_PERM, dirFd, toC(name)), 'fanotify_mark');
    openAside(dirFd, name);
    return wait(group, stat);
  } catch (error) {
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  } finally {
    // Whoever still waits for our word is let through by this.
    closeSync(group);
  }
}

/** In a thread of its own: it waits for our answer, and then for that of who refuses it. */
function openAside(dirFd: number, name: Name): void {
  const flags = O.RDONLY | O.NONBLOCK | O.NOFOLLOW | O.CLOEXEC;
  libc().openatAsync.async(dirFd, Buffer.from(`${name}\0`, 'latin1'), flags, 0, (_, fd) => {
    if (fd >= 0) closeSync(fd);
  });
}

function wait(group: number, stat: Stat): number | undefined {
  const until = performance.now() + PATIENCE_MS;
  while (performance.now() < until) {
    const fd = answer(group, stat);
    if (fd !== undefined) {
      waitedInVain = 0;
      return fd;
    }
    Atomics.wait(pause, 0, 0, 1);
  }
  waitedInVain += 1;
  return undefined;
}

/** Allows all opens that wait, and gives the descriptor of the first of them. */
function answer(group: number, stat: Stat): number | undefined {
  let length: number;
  try {
    length = readSync(group, events, 0, events.length, null);
  } catch (error) {
    if (errnoOf(error) === 'EAGAIN') return undefined;
    throw error;
  }
  let kept: number | undefined;
  for (let at = 0; at < length; at += events.readUInt32LE(at)) {
    const fd = events.readInt32LE(at + 16);
    if (fd < 0) continue;
    const reply = Buffer.alloc(8);
    reply.writeInt32LE(fd, 0);
    reply.writeUInt32LE(ALLOW, 4);
    writeSync(group, reply);
    if (kept === undefined && statFd(fd).identity === stat.identity) kept = fd;
    else closeSync(fd);
  }
  return kept;
}
