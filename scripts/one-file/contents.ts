/** What the one file carries beside Node: names, content, and what they need of the system. */
import { createHash } from 'node:crypto';

export interface Contents {
  readonly version: string;
  /** Of all files: another one means another folder. */
  readonly hash: string;
  /** The oldest C library that all native parts run with. */
  readonly glibc: string;
  readonly files: readonly string[];
}

/** The asset that holds the contents; the others are called as the files are. */
export const CONTENTS = 'contents.json';

export function hashOf(files: ReadonlyMap<string, Buffer>): string {
  const hash = createHash('sha256');
  for (const [name, bytes] of [...files].sort(([a], [b]) => (a < b ? -1 : 1)))
    hash.update(`${name}\0${bytes.length}\0`).update(bytes);
  return hash.digest('hex').slice(0, 16);
}

/** The newest version of glibc that a program or library asks for, by the names in it. */
export function glibcNeeds(binary: Buffer): string {
  const found = [...binary.toString('latin1').matchAll(/GLIBC_(\d+\.\d+)/g)].map((match) => match[1] ?? '0.0');
  return found.reduce((newest, one) => (isOlder(newest, one) ? one : newest), '0.0');
}

export function isOlder(one: string, other: string): boolean {
  const [a = [], b = []] = [one, other].map((version) => version.split('.').map(Number));
  return (a[0] ?? 0) !== (b[0] ?? 0) ? (a[0] ?? 0) < (b[0] ?? 0) : (a[1] ?? 0) < (b[1] ?? 0);
}
