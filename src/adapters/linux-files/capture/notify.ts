/** The kernel's events of one whole file system, whoever causes them and wherever. */
import { closeSync, readSync } from 'node:fs';
import { type Name, toC } from '../libc/bytes.ts';
import { withHandle } from '../libc/handle.ts';
import { checked, errnoOf, libc } from '../libc/native.ts';
import { type FileEvent, MASK, parseEvents } from './events.ts';

const INIT = {
  CLOEXEC: 0x1,
  NONBLOCK: 0x2,
  UNLIMITED_QUEUE: 0x10,
  FID: 0x200,
  DIR_FID: 0x400,
  NAME: 0x800,
  TARGET: 0x1000,
};
const O_LARGEFILE_RDONLY = 0o100000;
const MARK_ADD_FILESYSTEM = 0x1 | 0x100;
/** Of one inode: events that are left out, also after it was written to. */
const MARK_ADD_IGNORED = 0x1 | 0x20 | 0x40;
const MARK_FLUSH = 0x80;
const AT_FDCWD = -100;
const WANTED = MASK.MODIFY | MASK.ATTRIB | MASK.CLOSE_WRITE | MASK.CREATE | MASK.DELETE | MASK.RENAME | MASK.ONDIR;

const buffer = Buffer.allocUnsafeSlow(256 * 1024);

export class Notify {
  readonly #fd: number;
  readonly #of: number;

  /** Of the file system that `fd` is on. A queue with the system's limit may overflow; an unlimited one does not. */
  constructor(fd: number, queue: 'unlimited' | 'limited') {
    this.#of = fd;
    const { CLOEXEC, NONBLOCK, UNLIMITED_QUEUE, FID, DIR_FID, NAME, TARGET } = INIT;
    const how = CLOEXEC | NONBLOCK | FID | DIR_FID | NAME | TARGET | (queue === 'unlimited' ? UNLIMITED_QUEUE : 0);
    this.#fd = checked(libc().fanotifyInit(how, O_LARGEFILE_RDONLY), 'fanotify_init');
    try {
      checked(libc().fanotifyMark(this.#fd, MARK_ADD_FILESYSTEM, WANTED, fd, null), 'fanotify_mark');
    } catch (error) {
      closeSync(this.#fd);
      throw error;
    }
  }

  /** All that happened so far and was not told yet. */
  drain(onEvent: (event: FileEvent) => void): void {
    for (;;) {
      let length: number;
      try {
        length = readSync(this.#fd, buffer, 0, buffer.length, null);
      } catch (error) {
        if (errnoOf(error) === 'EAGAIN') return;
        throw error;
      }
      if (length === 0) return;
      for (const event of parseEvents(buffer.subarray(0, length))) onEvent(event);
    }
  }

  /**
   * That an inode was written to is told no more, until `hearWrites`: it costs whoever writes about as much as a small
   * write itself. False when it cannot be, or the inode is gone.
   */
  ignoreWrites(handle: Name): boolean {
    try {
      // By the name of a descriptor: nothing is opened by that, be it a FIFO or a device.
      const marked = withHandle(this.#of, handle, (fd) =>
        libc().fanotifyMark(this.#fd, MARK_ADD_IGNORED, MASK.MODIFY, AT_FDCWD, toC(`/proc/self/fd/${fd}`)),
      );
      return marked === 0;
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return false;
    }
  }

  /** Every write is told again. */
  hearWrites(): void {
    checked(libc().fanotifyMark(this.#fd, MARK_FLUSH, 0, AT_FDCWD, null), 'fanotify_mark');
  }

  close(): void {
    closeSync(this.#fd);
  }
}
