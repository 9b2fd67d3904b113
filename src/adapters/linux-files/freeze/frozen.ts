/**
 * File systems that stand still: whoever writes to one waits (FIFREEZE). A process of its own lets them go on when we are
 * gone, however we ended, and when it took longer than was said: nothing that happens to Godwit leaves them frozen.
 */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync } from 'node:fs';
import { GodwitError } from '../../../kernel/errors.ts';
import { fromText } from '../libc/bytes.ts';
import { syncFileSystemAside } from '../libc/file-system.ts';
import { checked, errnoOf, libc } from '../libc/native.ts';
import { openNamedDirectory, withFd } from '../libc/open.ts';
import { identityOf } from '../libc/stat.ts';
import { mountsOf } from './mounts-below.ts';

const FIFREEZE = 0xc004_5877;
const FITHAW = 0xc004_5878;
const DEVICE = 8;

/**
 * `cat` ends with its input, which ends with us, or is ended by `timeout`. Nothing in it writes to a file, and its
 * programs are read before anything is frozen.
 */
const WATCHDOG = `command -v timeout cat >/dev/null && fsfreeze --version >/dev/null || exit 9
echo ready
timeout "$0" cat >/dev/null
for each do fsfreeze -u "$each"; done`;

export interface FreezeOptions {
  /** Directories whose file systems are frozen. */
  readonly directories: readonly string[];
  /** Directories that we write to meanwhile. */
  readonly written: readonly string[];
  /** Longest time. */
  readonly seconds: number;
}

export class FrozenFileSystems implements AsyncDisposable {
  readonly #mounts: readonly string[];
  readonly #watchdog: ChildProcess;
  readonly #ended: Promise<unknown>;
  #holds = true;

  private constructor(mounts: readonly string[], watchdog: ChildProcess) {
    this.#mounts = mounts;
    this.#watchdog = watchdog;
    this.#ended = once(watchdog, 'exit').then(() => {
      // It let them go on; or somebody ended it, and nothing would when we are gone.
      if (this.#holds) thaw(mounts);
      this.#holds = false;
    });
  }

  /** What would be frozen. @throws GodwitError GW1001 when that must not be */
  static check({ directories, written }: Omit<FreezeOptions, 'seconds'>): readonly string[] {
    const mounts = mountsOf(directories);
    const device = (path: string) => identityOf(path).slice(0, DEVICE);
    for (const path of written) {
      const own = mounts.find((mount) => device(mount) === device(path));
      if (own !== undefined)
        throw new GodwitError(
          'GW1001',
          `--freeze-files would freeze ${own}, and with it ${path}; give it another place`,
        );
    }
    return mounts;
  }

  static async begin(options: FreezeOptions): Promise<FrozenFileSystems> {
    const mounts = FrozenFileSystems.check(options);
    // Most of what is dirty goes before anybody waits.
    for (const mount of mounts) await withOpen(mount, syncFileSystemAside);
    const frozen = new FrozenFileSystems(mounts, await startWatchdog(options.seconds, mounts));
    try {
      for (const mount of mounts) withFd(openNamedDirectory(fromText(mount)), (fd) => ask(fd, FIFREEZE));
    } catch (error) {
      await frozen[Symbol.asyncDispose]();
      throw new GodwitError('GW5403', `A file system cannot be frozen: ${(error as Error).message}`, { cause: error });
    }
    return frozen;
  }

  /** Whether nobody has written since they were frozen. */
  get holds(): boolean {
    return this.#holds;
  }

  /** They go on. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#holds) thaw(this.#mounts);
    this.#holds = false;
    this.#watchdog.stdin?.end();
    await this.#ended;
  }
}

async function startWatchdog(seconds: number, mounts: readonly string[]): Promise<ChildProcess> {
  // A session of its own: what ends our group must not end it.
  const child = spawn('/bin/sh', ['-c', WATCHDOG, String(seconds), ...mounts], {
    stdio: ['pipe', 'pipe', 'ignore'],
    detached: true,
    cwd: '/',
  });
  child.stdin?.on('error', () => undefined);
  const ready = await Promise.race([
    once(child.stdout as NodeJS.ReadableStream, 'data').then(() => true),
    once(child, 'exit').then(() => false),
  ]);
  if (ready) return child;
  throw new GodwitError('GW5403', '--freeze-files needs the programs fsfreeze (util-linux) and timeout (coreutils)');
}

/** What goes on already is no error. */
export function thaw(mounts: readonly string[]): void {
  for (const mount of mounts) {
    try {
      withFd(openNamedDirectory(fromText(mount)), (fd) => ask(fd, FITHAW));
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
    }
  }
}

function ask(fd: number, request: number): void {
  checked(libc().ioctl(fd, request, null), 'ioctl');
}

async function withOpen(path: string, work: (fd: number) => Promise<void>): Promise<void> {
  const fd = openNamedDirectory(fromText(path));
  try {
    await work(fd);
  } finally {
    closeSync(fd);
  }
}
