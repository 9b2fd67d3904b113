/** Extended attributes: user.*, trusted.*, security.* (capabilities), and ACLs, which are attributes too. */
import type { Name } from './bytes.ts';
import { toC } from './bytes.ts';
import { checked, libc, SystemError } from './native.ts';

/** Name and value, sorted by name. */
export type Xattrs = readonly (readonly [name: Name, value: Buffer])[];

const NONE: Xattrs = [];
/** The kernel's limit of a list of names and of a value. */
const list = Buffer.alloc(65_536);
const value = Buffer.alloc(65_536);

/** What has attributes: a descriptor, or a path of /proc for what cannot be opened (links, FIFOs, devices). */
type Holder = number | Name;

/** For a descriptor that was opened with PATH, which the calls on descriptors refuse. */
export function throughProc(fd: number): Name {
  return `/proc/self/fd/${fd}`;
}

export function readXattrs(holder: Holder): Xattrs {
  const call = libc();
  const length =
    typeof holder === 'number'
      ? call.flistxattr(holder, list, list.length)
      : call.listxattr(toC(holder, 1), list, list.length);
  if (length === 0 || (length < 0 && isUnsupported(call.errno()))) return NONE;
  checked(length, 'listxattr');
  const found: [Name, Buffer][] = [];
  for (const name of list.toString('latin1', 0, length - 1).split('\0')) {
    const size =
      typeof holder === 'number'
        ? call.fgetxattr(holder, toC(name), value, value.length)
        : call.getxattr(toC(holder, 1), toC(name), value, value.length);
    // Gone since the list was made, or one that the file system lists and does not give.
    if (size < 0 && ['ENODATA', 'EOPNOTSUPP'].includes(new SystemError('getxattr', call.errno()).code)) continue;
    found.push([name, Buffer.from(value.subarray(0, checked(size, 'getxattr')))]);
  }
  return found.sort(([a], [b]) => (a < b ? -1 : 1));
}

export function setXattr(holder: Holder, name: Name, bytes: Buffer): void {
  const call = libc();
  const result =
    typeof holder === 'number'
      ? call.fsetxattr(holder, toC(name), bytes, bytes.length, 0)
      : call.setxattr(toC(holder, 1), toC(name), bytes, bytes.length, 0);
  checked(result, 'setxattr');
}

export function removeXattr(holder: Holder, name: Name): void {
  const call = libc();
  const result =
    typeof holder === 'number' ? call.fremovexattr(holder, toC(name)) : call.removexattr(toC(holder, 1), toC(name));
  checked(result, 'removexattr');
}

function isUnsupported(errno: number): boolean {
  return new SystemError('listxattr', errno).code === 'EOPNOTSUPP';
}
