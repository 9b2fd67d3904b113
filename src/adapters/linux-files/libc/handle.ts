/** Handles of files, as the kernel tells them with events: they lead to the inode, whatever its names are by now. */
import type { Name } from './bytes.ts';
import { checked, libc } from './native.ts';
import { O, unless, withFd } from './open.ts';
import { type Stat, statFd } from './stat.ts';

const buffer = Buffer.alloc(256);

/**
 * Device and inode of a handle (see Stat.identity); undefined when the inode is gone.
 * `handle` is what follows the file system's identity in an event: length, type, bytes.
 */
export function identityOfHandle(mountFd: number, handle: Name): string | undefined {
  return statOfHandle(mountFd, handle)?.identity;
}

/** What a handle leads to by now. */
export function statOfHandle(mountFd: number, handle: Name): Stat | undefined {
  return withHandle(mountFd, handle, statFd);
}

/** Something with what a handle leads to, as a descriptor that can only be named; undefined when the inode is gone. */
export function withHandle<T>(mountFd: number, handle: Name, work: (fd: number) => T): T | undefined {
  return unless(['ESTALE'], () => withFd(openHandle(mountFd, handle), work));
}

function openHandle(mountFd: number, handle: Name): number {
  buffer.write(handle, 0, 'latin1');
  return checked(libc().openByHandle(mountFd, buffer, O.PATH | O.CLOEXEC), 'open_by_handle_at');
}
