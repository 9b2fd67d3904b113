import type { Name } from './bytes.ts';
import { NameCollector, type NameList } from './name-list.ts';
import { checked, libc, SYSCALL } from './native.ts';

const buffer = Buffer.alloc(256 * 1024);
const NAME_AT = 19;

/**
 * All names of an open directory but `.` and `..`, sorted by their bytes. It is
 * read in one go, so that a directory which changes meanwhile cannot make it
 * begin again; what this costs in memory is the names.
 */
export function listNames(dirFd: number): NameList {
  const names = new NameCollector();
  libc().lseek(dirFd, 0, 0);
  for (;;) {
    const length = checked(libc().getdents64(SYSCALL.getdents64, dirFd, buffer, buffer.length), 'getdents64');
    if (length === 0) break;
    for (let at = 0; at < length; ) {
      const size = buffer.readUInt16LE(at + 16);
      const end = buffer.indexOf(0, at + NAME_AT);
      const name = buffer.toString('latin1', at + NAME_AT, end);
      if (name !== '.' && name !== '..') names.add(name);
      at += size;
    }
  }
  return names.sorted();
}

/** The same as an array, for what is small. */
export function readNames(dirFd: number): Name[] {
  const names = listNames(dirFd);
  if (Array.isArray(names)) return names;
  const all = Array.from({ length: names.length }, (_, at) => names.at(at) as Name);
  names.release?.();
  return all;
}
