/**
 * One name of the certificate, as text that any program can make again:
 * `type=… mode=… …`, the fields in this order, one blank between. Times of access
 * are left out: who reads the source changes them. Where a file has holes is no
 * part of it: holes read as zeros.
 */
import { hash } from 'node:crypto';
import type { BytePath, Name } from '../libc/bytes.ts';
import type { Stat } from '../libc/stat.ts';
import type { Xattrs } from '../libc/xattr.ts';

/** Every byte but printable ASCII, and `%`, as %XX. */
export function escapeName(name: Name): string {
  if (!/[^!-$&-~]/.test(name)) return name;
  return name.replace(/[^!-$&-~]/g, (letter) => `%${letter.charCodeAt(0).toString(16).toUpperCase().padStart(2, '0')}`);
}

export interface Described {
  readonly stat: Stat;
  readonly inodeFlags: number;
  readonly xattrs: Xattrs;
  /** Of a file. */
  readonly content?: string;
  /** Of a symbolic link. */
  readonly target?: BytePath;
}

export function lineOf({ stat, inodeFlags, xattrs, content, target }: Described): string {
  let line = `type=${stat.kind} mode=${(stat.mode & 0o7777).toString(8).padStart(4, '0')} uid=${stat.uid} gid=${stat.gid}`;
  if (stat.kind === 'file') line += ` size=${stat.size} content=${content ?? ''}`;
  if (stat.kind === 'character' || stat.kind === 'block') line += ` device=${stat.rdevMajor},${stat.rdevMinor}`;
  if (target !== undefined) line += ` target=${escapeName(target)}`;
  line += ` mtime=${stat.mtimeSec}.${stat.mtimeNsec.toString().padStart(9, '0')} flags=${inodeFlags.toString(16)}`;
  for (const [name, value] of xattrs) line += ` xattr:${escapeName(name)}=${sha256(value)}`;
  return line;
}

/** A further name of a file that has come already. */
export function linkLine(mapping: number, path: BytePath): string {
  return `type=link to=${mapping}:${escapeName(path)}`;
}

export function sha256(data: Buffer | string): string {
  // In one go: an object for each of a million names is memory that waits to be collected.
  return hash('sha256', data, 'hex');
}
