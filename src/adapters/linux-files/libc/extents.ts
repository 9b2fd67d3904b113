import { checked, libc, SystemError } from './native.ts';

const SEEK_DATA = 3;
const SEEK_HOLE = 4;
const PUNCH_HOLE_KEEP_SIZE = 3;

/** Where a file has data: from, up to but not including. */
export interface Extent {
  readonly start: number;
  readonly end: number;
}

/** The next data at or after `from`; undefined when there is only a hole up to the end. */
export function nextData(fd: number, from: number, size: number): Extent | undefined {
  if (from >= size) return undefined;
  const start = libc().lseek(fd, from, SEEK_DATA);
  if (start < 0) {
    const error = new SystemError('lseek', libc().errno());
    if (error.code === 'ENXIO') return undefined;
    // A file system without holes: everything is data.
    if (error.code === 'EINVAL') return { start: from, end: size };
    throw error;
  }
  if (start >= size) return undefined;
  return { start, end: Math.min(size, checked(libc().lseek(fd, start, SEEK_HOLE), 'lseek')) };
}

/** Makes a hole; the file keeps its size. */
export function punchHole(fd: number, start: number, length: number): void {
  checked(libc().fallocate(fd, PUNCH_HOLE_KEEP_SIZE, start, length), 'fallocate');
}
