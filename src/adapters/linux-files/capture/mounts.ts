/** The file systems that a source consists of: that of its directory, and those that are mounted below it. */
import { closeSync, readFileSync } from 'node:fs';
import type { BytePath } from '../libc/bytes.ts';
import { readLink } from '../libc/change.ts';
import { whyLeft } from '../libc/file-system.ts';
import { AT_FDCWD, O, openAt, openNamedDirectory, unless } from '../libc/open.ts';
import { statFd } from '../libc/stat.ts';
import { throughProc } from '../libc/xattr.ts';
import type { SourceRoot } from '../source/roots.ts';

/** What is mounted below the roots, as the kernel lists it. */
export function mountsBelow(roots: readonly SourceRoot[]): readonly string[] {
  const inside = roots
    .map((root) => readLink(AT_FDCWD, throughProc(root.fd)))
    .map((path) => (path === '/' ? '/' : `${path}/`));
  return readFileSync('/proc/self/mountinfo', 'latin1')
    .split('\n')
    .filter((line) => line !== '' && inside.some((path) => pointOf(line).startsWith(path)));
}

/** An open directory of each file system whose files are carried and whose device is not `known` yet; whoever asks closes them. */
export function openFileSystems(
  roots: readonly SourceRoot[],
  mounts: readonly string[],
  known: ReadonlySet<string>,
): { readonly device: string; readonly fd: number }[] {
  const opened: { device: string; fd: number }[] = [];
  const take = (fd: number, isRoot: boolean): void => {
    const { device } = statFd(fd);
    const isNew = !known.has(device) && !opened.some((other) => other.device === device);
    // A root is carried whatever it is.
    if (isNew && (isRoot || whyLeft(fd) === undefined)) opened.push({ device, fd });
    else closeSync(fd);
  };
  try {
    for (const root of roots) take(openAt(root.fd, '.', O.RDONLY | O.DIRECTORY), true);
    for (const mount of mounts) {
      const fd = unless(UNSEEN, () => openNamedDirectory(pointOf(mount)));
      if (fd !== undefined) take(fd, false);
    }
    return opened;
  } catch (error) {
    for (const { fd } of opened) closeSync(fd);
    throw error;
  }
}

/** Files are mounted, too; and what was mounted may be gone again. */
const UNSEEN = ['ENOENT', 'ENOTDIR', 'EACCES', 'ESTALE', 'EIO', 'ENOTCONN'] as const;

function pointOf(mount: string): BytePath {
  const escaped = mount.split(' ')[4] ?? '';
  return escaped.replace(/\\([0-7]{3})/g, (_, digits: string) => String.fromCharCode(Number.parseInt(digits, 8)));
}
