/** Where on its device a file lies (FIEMAP), and whether that can be relied on. */
import { rawFlags } from '../libc/inode-flags.ts';
import { checked, libc } from '../libc/native.ts';

const FIEMAP = 0xc020_660b;
const FSGETXATTR = 0x801c_581f;
const SYNC = 1;
const HEADER = 32;
const EXTENT = 56;
const AT_ONCE = 512;

const LAST = 0x1;
const UNWRITTEN = 0x800;
/** Not yet placed, or not there as it is in the file: each with why, for people. */
const UNSAFE: readonly (readonly [flag: number, why: string])[] = [
  [0x2, 'its place is not known'],
  [0x4, 'it is being written'],
  [0x8, 'it is compressed'],
  [0x80, 'it is encrypted'],
  [0x200, 'it lies in its inode'],
  [0x400, 'it shares a block with others'],
  [0x100, 'it does not begin with a block'],
];
/** Flags of an inode with which its blocks are not its content, or not yet. */
const INODE_ENCRYPTED = 0x800;
const INODE_JOURNALED = 0x4000;
const XFLAG_REALTIME = 0x1;

/** A part of a file: in bytes, of the file and of the device. */
export interface Placed {
  readonly start: number;
  readonly end: number;
  readonly physical: number;
}

const request = Buffer.alloc(HEADER + EXTENT * AT_ONCE);

/**
 * The parts of a file that have content, after what was written to it is on the device. What is allocated and was never
 * written reads as zeros, as holes do. In words why not, where that would not be the file's content.
 */
export function placesOf(fd: number): readonly Placed[] | string {
  const why = whyNot(fd);
  if (why !== undefined) return why;
  const found: Placed[] = [];
  for (let from = 0; ; ) {
    request.fill(0, 0, HEADER);
    request.writeBigUInt64LE(BigInt(from), 0);
    request.writeBigUInt64LE(0xffff_ffff_ffff_ffffn - BigInt(from), 8);
    request.writeUInt32LE(SYNC, 16);
    request.writeUInt32LE(AT_ONCE, 24);
    checked(libc().ioctl(fd, FIEMAP, request), 'ioctl');
    const count = request.readUInt32LE(20);
    for (let at = HEADER; at < HEADER + count * EXTENT; at += EXTENT) {
      const [start, physical, length] = [0, 8, 16].map((of) => Number(request.readBigUInt64LE(at + of)));
      const flags = request.readUInt32LE(at + 40);
      const unsafe = UNSAFE.find(([flag]) => (flags & flag) !== 0);
      if (unsafe !== undefined) return unsafe[1];
      from = (start as number) + (length as number);
      if ((flags & UNWRITTEN) === 0) found.push({ start: start as number, end: from, physical: physical as number });
      if ((flags & LAST) !== 0) return found;
    }
    if (count === 0) return found;
  }
}

function whyNot(fd: number): string | undefined {
  const flags = rawFlags(fd) ?? 0;
  if ((flags & INODE_ENCRYPTED) !== 0) return 'it is encrypted';
  if ((flags & INODE_JOURNALED) !== 0) return 'its content goes through the journal';
  request.fill(0, 0, HEADER);
  // File systems without such attributes have no other device either.
  if (libc().ioctl(fd, FSGETXATTR, request) >= 0 && (request.readUInt32LE(0) & XFLAG_REALTIME) !== 0)
    return 'it lies on another device';
  return undefined;
}
