/** All that is carried of a file beside its name and its content. */
import type { Stat } from '../libc/stat.ts';
import type { Xattrs } from '../libc/xattr.ts';
import type { Packer, Unpacker } from './packer.ts';

export interface Metadata {
  /** Type and permission bits. */
  readonly mode: number;
  /** Numbers, never names: the two systems need not know each other's users. */
  readonly uid: number;
  readonly gid: number;
  readonly atimeSec: number;
  readonly atimeNsec: number;
  readonly mtimeSec: number;
  readonly mtimeNsec: number;
  /** As chattr sets them. */
  readonly inodeFlags: number;
  readonly xattrs: Xattrs;
}

export function packMetadata(to: Packer, stat: Stat, inodeFlags: number, xattrs: Xattrs): void {
  to.u16(stat.mode);
  to.u32(stat.uid);
  to.u32(stat.gid);
  to.long(stat.atimeSec);
  to.u32(stat.atimeNsec);
  to.long(stat.mtimeSec);
  to.u32(stat.mtimeNsec);
  to.u32(inodeFlags);
  to.u16(xattrs.length);
  for (const [name, value] of xattrs) {
    to.text(name);
    to.blob(value);
  }
}

/** Values of attributes are views into the message. */
export function unpackMetadata(from: Unpacker): Metadata {
  const mode = from.u16();
  const uid = from.u32();
  const gid = from.u32();
  const atimeSec = from.long();
  const atimeNsec = from.u32();
  const mtimeSec = from.long();
  const mtimeNsec = from.u32();
  const inodeFlags = from.u32();
  const xattrs: [string, Buffer][] = [];
  for (let left = from.u16(); left > 0; left -= 1) xattrs.push([from.text(), from.blob()]);
  return { mode, uid, gid, atimeSec, atimeNsec, mtimeSec, mtimeNsec, inodeFlags, xattrs };
}
