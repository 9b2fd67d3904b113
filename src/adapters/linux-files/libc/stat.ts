import { type BytePath, fromText, type Name, toC } from './bytes.ts';
import { checked, libc } from './native.ts';
import { AT_FDCWD, openNamedDirectory, withFd } from './open.ts';

const AT_SYMLINK_NOFOLLOW = 0x100;
const AT_NO_AUTOMOUNT = 0x800;
const AT_EMPTY_PATH = 0x1000;
const STATX_BASIC_STATS = 0x7ff;
const STATX_MNT_ID = 0x1000;
const ATTR_MOUNT_ROOT = 0x2000;

const S_IFMT = 0o170000;
const KINDS: ReadonlyMap<number, FileKind> = new Map([
  [0o040000, 'directory'],
  [0o100000, 'file'],
  [0o120000, 'symlink'],
  [0o010000, 'fifo'],
  [0o020000, 'character'],
  [0o060000, 'block'],
  [0o140000, 'socket'],
]);

export type FileKind = 'directory' | 'file' | 'symlink' | 'fifo' | 'character' | 'block' | 'socket';

/** Everything that statx tells and a copy needs, to the nanosecond. */
export interface Stat {
  readonly kind: FileKind;
  /** Type and permission bits. */
  readonly mode: number;
  readonly uid: number;
  readonly gid: number;
  readonly nlink: number;
  readonly size: number;
  /** Of 512 bytes each. */
  readonly blocks: number;
  readonly atimeSec: number;
  readonly atimeNsec: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  readonly ctimeSec: number;
  readonly ctimeNsec: number;
  readonly rdevMajor: number;
  readonly rdevMinor: number;
  /** The device and the inode as 16 bytes: the same for all names of one file, on this machine. */
  readonly identity: string;
  /** The device as 8 bytes. */
  readonly device: string;
  /** Identity, ctime, mtime and size as 48 bytes: two equal ones mean that nobody changed it between two looks (see settled). */
  readonly signature: string;
  readonly isMountRoot: boolean;
}

const buffer = Buffer.alloc(256);
/** Where a signature is from: device, inode, ctime, mtime, size. */
const MARKS = [
  [136, 144],
  [32, 40],
  [96, 108],
  [112, 124],
  [40, 48],
].flatMap(([from, to]) => Array.from({ length: (to as number) - (from as number) }, (_, i) => (from as number) + i));
const marks = Buffer.alloc(MARKS.length);

/** The size that a signature was made with. */
export function sizeIn(signature: string): number {
  return Number(Buffer.from(signature.slice(-8), 'latin1').readBigInt64LE());
}

/** Of the name itself, never of what a symbolic link leads to; mounts nothing. */
export function statAt(dirFd: number, name: Name): Stat {
  const flags = AT_SYMLINK_NOFOLLOW | AT_NO_AUTOMOUNT;
  checked(libc().statx(dirFd, toC(name), flags, STATX_BASIC_STATS | STATX_MNT_ID, buffer), 'statx');
  return decode();
}

/** Of what is open. */
export function statFd(fd: number): Stat {
  checked(libc().statx(fd, toC(''), AT_EMPTY_PATH, STATX_BASIC_STATS | STATX_MNT_ID, buffer), 'statx');
  return decode();
}

/** Of what a path leads to: links are followed, also those of /proc that lead to open files. */
export function statThrough(path: BytePath): Stat {
  checked(libc().statx(AT_FDCWD, toC(path), AT_NO_AUTOMOUNT, STATX_BASIC_STATS | STATX_MNT_ID, buffer), 'statx');
  return decode();
}

function decode(): Stat {
  const mode = buffer.readUInt16LE(28);
  const kind = KINDS.get(mode & S_IFMT);
  if (kind === undefined) throw new Error(`statx: unknown type ${mode.toString(8)}`);
  // In one go, and byte by byte: a call for each part costs more, and there are several looks at every file.
  for (let to = 0; to < marks.length; to += 1) marks[to] = buffer[MARKS[to] as number] as number;
  const signature = marks.toString('latin1');
  return {
    kind,
    mode,
    uid: buffer.readUInt32LE(20),
    gid: buffer.readUInt32LE(24),
    nlink: buffer.readUInt32LE(16),
    size: long(40),
    blocks: long(48),
    atimeSec: long(64),
    atimeNsec: buffer.readUInt32LE(72),
    ctimeSec: long(96),
    ctimeNsec: buffer.readUInt32LE(104),
    mtimeSec: long(112),
    mtimeNsec: buffer.readUInt32LE(120),
    rdevMajor: buffer.readUInt32LE(128),
    rdevMinor: buffer.readUInt32LE(132),
    identity: signature.slice(0, 16),
    device: signature.slice(0, 8),
    signature,
    isMountRoot: (buffer.readUInt32LE(8) & ATTR_MOUNT_ROOT) !== 0,
  };
}

/** Signed 64 bits; sizes and times are far below 2^53. */
function long(at: number): number {
  return buffer.readInt32LE(at + 4) * 0x1_0000_0000 + buffer.readUInt32LE(at);
}

/** The numbers of the device that it lies on. */
export function deviceOf({ device }: Pick<Stat, 'device'>): { readonly major: number; readonly minor: number } {
  const bytes = Buffer.from(device, 'latin1');
  return { major: bytes.readUInt32LE(0), minor: bytes.readUInt32LE(4) };
}

/** Device and inode of a path that a person named. */
export function identityOf(path: string): string {
  return withFd(openNamedDirectory(fromText(path)), (fd) => statFd(fd).identity);
}
