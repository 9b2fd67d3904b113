/**
 * The calls of libc that Node has not, through koffi. All of them are made at
 * once and in this thread; errno is read right after. Signatures are those of
 * 64-bit Linux, where variadic calls pass their arguments as others do.
 */
import { getSystemErrorName } from 'node:util';
import koffi from 'koffi';
import { GodwitError } from '../../../kernel/errors.ts';

type Call<A extends readonly unknown[]> = (...args: A) => number;
type Fd = number;
type Memory = Buffer | null;

function load() {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) {
    throw new GodwitError(
      'GW2401',
      `relocate reads and writes files on 64-bit Linux only, not on ${process.platform} ${process.arch}`,
    );
  }
  // What the Node process itself is linked with: glibc or musl.
  const libc = koffi.load(null);
  const bind = <A extends readonly unknown[]>(signature: string) => libc.func(signature) as unknown as Call<A>;
  const allocate = libc.func('void *aligned_alloc(size_t, size_t)') as unknown as (
    boundary: number,
    bytes: number,
  ) => bigint;
  return {
    openat: bind<[Fd, Memory, number, number]>('int openat(int, const void *, int, uint32_t)'),
    statx: bind<[Fd, Memory, number, number, Memory]>('int statx(int, const void *, int, uint32_t, void *)'),
    fstatfs: bind<[Fd, Memory]>('int fstatfs(int, void *)'),
    getdents64: bind<[number, Fd, Memory, number]>('int64_t syscall(int64_t, int64_t, void *, uint64_t)'),
    sysconf: bind<[number]>('long sysconf(int)'),
    syncfs: bind<[Fd]>('int syncfs(int)'),
    lseek: bind<[Fd, number, number]>('int64_t lseek(int, int64_t, int)'),
    fallocate: bind<[Fd, number, number, number]>('int fallocate(int, int, int64_t, int64_t)'),
    ioctl: bind<[Fd, number, Memory]>('int ioctl(int, uint64_t, void *)'),
    flistxattr: bind<[Fd, Memory, number]>('int64_t flistxattr(int, void *, uint64_t)'),
    fgetxattr: bind<[Fd, Memory, Memory, number]>('int64_t fgetxattr(int, const void *, void *, uint64_t)'),
    fsetxattr: bind<[Fd, Memory, Memory, number, number]>(
      'int fsetxattr(int, const void *, const void *, uint64_t, int)',
    ),
    fremovexattr: bind<[Fd, Memory]>('int fremovexattr(int, const void *)'),
    listxattr: bind<[Memory, Memory, number]>('int64_t listxattr(const void *, void *, uint64_t)'),
    getxattr: bind<[Memory, Memory, Memory, number]>('int64_t getxattr(const void *, const void *, void *, uint64_t)'),
    setxattr: bind<[Memory, Memory, Memory, number, number]>(
      'int setxattr(const void *, const void *, const void *, uint64_t, int)',
    ),
    removexattr: bind<[Memory, Memory]>('int removexattr(const void *, const void *)'),
    mkdirat: bind<[Fd, Memory, number]>('int mkdirat(int, const void *, uint32_t)'),
    mknodat: bind<[Fd, Memory, number, number]>('int mknodat(int, const void *, uint32_t, uint64_t)'),
    symlinkat: bind<[Memory, Fd, Memory]>('int symlinkat(const void *, int, const void *)'),
    readlinkat: bind<[Fd, Memory, Memory, number]>('int64_t readlinkat(int, const void *, void *, uint64_t)'),
    linkat: bind<[Fd, Memory, Fd, Memory, number]>('int linkat(int, const void *, int, const void *, int)'),
    renameat: bind<[Fd, Memory, Fd, Memory]>('int renameat(int, const void *, int, const void *)'),
    unlinkat: bind<[Fd, Memory, number]>('int unlinkat(int, const void *, int)'),
    fchownat: bind<[Fd, Memory, number, number, number]>('int fchownat(int, const void *, uint32_t, uint32_t, int)'),
    utimensat: bind<[Fd, Memory, Memory, number]>('int utimensat(int, const void *, const void *, int)'),
    futimens: bind<[Fd, Memory]>('int futimens(int, const void *)'),
    openat2: bind<[number, Fd, Memory, Memory, number]>(
      'int64_t syscall(int64_t, int64_t, const void *, void *, uint64_t)',
    ),
    openTree: bind<[number, Fd, Memory, number]>('int64_t syscall(int64_t, int64_t, const void *, uint64_t)'),
    fanotifyInit: bind<[number, number]>('int fanotify_init(uint32_t, uint32_t)'),
    fanotifyMark: bind<[Fd, number, number, Fd, Memory]>(
      'int fanotify_mark(int, uint32_t, uint64_t, int, const void *)',
    ),
    openByHandle: bind<[Fd, Memory, number]>('int open_by_handle_at(int, void *, int)'),
    pidfdOpen: bind<[number, number, number]>('int64_t syscall(int64_t, int64_t, int64_t)'),
    pidfdGetfd: bind<[number, Fd, Fd, number]>('int64_t syscall(int64_t, int64_t, int64_t, int64_t)'),
    fsopen: bind<[number, Memory, number]>('int64_t syscall(int64_t, const void *, int64_t)'),
    fsconfig: bind<[number, Fd, number, Memory, Memory, number]>(
      'int64_t syscall(int64_t, int64_t, int64_t, const void *, const void *, int64_t)',
    ),
    fsmount: bind<[number, Fd, number, number]>('int64_t syscall(int64_t, int64_t, int64_t, int64_t)'),
    syncfsAsync: libc.func('int syncfs(int)') as unknown as {
      async(fd: Fd, done: (error: Error | null, result: number) => void): void;
    },
    openatAsync: libc.func('int openat(int, const void *, int, uint32_t)') as unknown as {
      async(fd: Fd, name: Buffer, flags: number, mode: number, done: (error: unknown, result: number) => void): void;
    },
    /** Memory that begins with a page, as direct reads want it; it is never given back. */
    pages: (bytes: number): Buffer => Buffer.from(koffi.view(allocate(4096, bytes), bytes)),
    errno: () => koffi.errno(),
  };
}

let loaded: ReturnType<typeof load> | undefined;

/** libc, loaded when first used, so that no other command needs it. */
export function libc(): ReturnType<typeof load> {
  loaded ??= load();
  return loaded;
}

/** Numbers of system calls that have no wrapper everywhere; all but the first are the same on all machines. */
export const SYSCALL = {
  getdents64: process.arch === 'arm64' ? 61 : 217,
  openTree: 428,
  pidfdOpen: 434,
  pidfdGetfd: 438,
  fsopen: 430,
  fsconfig: 431,
  fsmount: 432,
  openat2: 437,
} as const;

const ESTALE = 116;

/** What a call of libc failed with. `code` is errno's name, as in Node's own errors. */
export class SystemError extends Error {
  readonly code: string;
  readonly syscall: string;

  constructor(syscall: string, errno: number) {
    // Node has no name for this one.
    const code = errno === ESTALE ? 'ESTALE' : getSystemErrorName(-errno);
    super(`${syscall}: ${code}`);
    this.name = 'SystemError';
    this.code = code;
    this.syscall = syscall;
  }
}

/** Passes a result on; a negative one becomes an error that names errno. */
export function checked(result: number, syscall: string): number {
  if (result < 0) throw new SystemError(syscall, libc().errno());
  return result;
}

/** errno's name of anything that a call threw; undefined for what is no failed call. */
export function errnoOf(error: unknown): string | undefined {
  if (error instanceof SystemError) return error.code;
  if (error instanceof Error && 'syscall' in error && 'code' in error) return String(error.code);
  return undefined;
}
