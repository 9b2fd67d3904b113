import { checked, libc, SystemError } from './native.ts';

const buffer = Buffer.alloc(256);
/** errno of another thread cannot be read here; this is what syncfs fails with. */
const EIO = 5;

/** Why the files of a file system are not carried. */
export type Left = 'memory' | 'network' | 'view';

/** By `f_type` of statfs (linux/magic.h). What is not here holds files of its own. */
const LEFT: ReadonlyMap<number, readonly [name: string, why: Left]> = new Map([
  [0x9fa0, ['proc', 'memory']],
  [0x62656572, ['sysfs', 'memory']],
  [0x01021994, ['tmpfs', 'memory']],
  [0x858458f6, ['ramfs', 'memory']],
  [0x1cd1, ['devpts', 'memory']],
  [0x19800202, ['mqueue', 'memory']],
  [0x0027e0eb, ['cgroup', 'memory']],
  [0x63677270, ['cgroup2', 'memory']],
  [0xcafe4a11, ['bpf', 'memory']],
  [0x74726163, ['tracefs', 'memory']],
  [0x64626720, ['debugfs', 'memory']],
  [0x73636673, ['securityfs', 'memory']],
  [0xf97cff8c, ['selinuxfs', 'memory']],
  [0x43415d53, ['smackfs', 'memory']],
  [0x62656570, ['configfs', 'memory']],
  [0x65735543, ['fusectl', 'memory']],
  [0x6165676c, ['pstore', 'memory']],
  [0xde5e81e4, ['efivarfs', 'memory']],
  [0x958458f6, ['hugetlbfs', 'memory']],
  [0x42494e4d, ['binfmt_misc', 'memory']],
  [0x67596969, ['rpc_pipefs', 'memory']],
  [0x6e736673, ['nsfs', 'memory']],
  [0x0187, ['autofs', 'memory']],
  [0x6969, ['nfs', 'network']],
  [0xff534d42, ['cifs', 'network']],
  [0xfe534d42, ['smb2', 'network']],
  [0x517b, ['smb', 'network']],
  [0x01021997, ['9p', 'network']],
  [0x00c36400, ['ceph', 'network']],
  [0x5346414f, ['afs', 'network']],
  // What somebody's program, or layers and images that are files themselves, show.
  [0x65735546, ['fuse', 'view']],
  [0x794c7630, ['overlayfs', 'view']],
  [0x73717368, ['squashfs', 'view']],
  [0xe0f5e1e2, ['erofs', 'view']],
  [0x9660, ['iso9660', 'view']],
]);

export const EXT4 = 0xef53;
export const XFS = 0x58465342;

/** `f_type` of statfs. */
export function fileSystemType(fd: number): number {
  checked(libc().fstatfs(fd, buffer), 'fstatfs');
  return buffer.readUInt32LE(0);
}

/** The kind of file system and why it stays behind; undefined for one whose files are carried. */
export function whyLeft(fd: number): { readonly name: string; readonly why: Left } | undefined {
  const known = LEFT.get(fileSystemType(fd));
  return known && { name: known[0], why: known[1] };
}

/** Everything written so far to the file system of `fd` is on its medium, and every page of it is clean. */
export function syncFileSystem(fd: number): void {
  checked(libc().syncfs(fd), 'syncfs');
}

/** The same in a thread of its own: it may take long. */
export function syncFileSystemAside(fd: number): Promise<void> {
  return new Promise((resolve, reject) => {
    libc().syncfsAsync.async(fd, (error, result) => {
      if (error) reject(error);
      else if (result < 0) reject(new SystemError('syncfs', EIO));
      else resolve();
    });
  });
}
