/** A file that somebody holds alone is open somewhere: its descriptor is borrowed for a moment, so that nothing is opened. */
import { readdirSync, readFileSync } from 'node:fs';
import { fromText } from '../libc/bytes.ts';
import { checked, errnoOf, libc, SYSCALL } from '../libc/native.ts';
import { withFd } from '../libc/open.ts';
import { type Stat, statFd, statThrough } from '../libc/stat.ts';

/**
 * Runs with a descriptor of the process that has a lease on the file. It is the holder's own: its position, its locks
 * and its lease are shared while it is borrowed, so that nothing but a question may be asked through it.
 * Undefined when nobody holds it, or it may not be borrowed.
 */
export function withBorrowed<T>(stat: Stat, work: (fd: number) => T): T | undefined {
  for (const pid of holdersOf(stat)) {
    for (const name of list(`/proc/${pid}/fd`)) {
      if (identityThrough(`/proc/${pid}/fd/${name}`) !== stat.identity) continue;
      const fd = take(pid, Number(name));
      if (fd === undefined) continue;
      const found = withFd(fd, () => (statFd(fd).identity === stat.identity ? { is: work(fd) } : undefined));
      if (found !== undefined) return found.is;
    }
  }
  return undefined;
}

/** Processes with a lease on an inode of this number: of which file system, that table does not say of all kinds. */
function holdersOf({ identity }: Stat): number[] {
  const inode = Buffer.from(identity.slice(8), 'latin1').readBigUInt64LE(0);
  return readFileSync('/proc/locks', 'utf8')
    .split('\n')
    .map((line) => line.trim().split(/\s+/))
    .filter((fields) => fields[1] === 'LEASE' && fields[5]?.endsWith(`:${inode}`))
    .map((fields) => Number(fields[4]))
    .filter((pid) => pid > 0);
}

function take(pid: number, theirs: number): number | undefined {
  try {
    return withFd(checked(libc().pidfdOpen(SYSCALL.pidfdOpen, pid, 0), 'pidfd_open'), (process) =>
      checked(libc().pidfdGetfd(SYSCALL.pidfdGetfd, process, theirs, 0), 'pidfd_getfd'),
    );
  } catch (error) {
    // Ended, closed, or not ours to look at.
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}

function identityThrough(link: string): string | undefined {
  try {
    return statThrough(fromText(link)).identity;
  } catch {
    return undefined;
  }
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
