/**
 * A block server and its user on one host: the user's dirty pages fill the memory, and the server that has to take them
 * needs memory for that. A process that is an "I/O flusher" (prctl(2), PR_SET_IO_FLUSHER) never waits, when it asks for memory,
 * for pages to be written that it may have to write itself, and is not slowed down for those of others.
 */
import koffi from 'koffi';

/**
 * - `on`: every thread of this process is one;
 * - `denied`: it has no right to be (CAP_SYS_RESOURCE);
 * - `unknown`: the system knows no such thing.
 */
export type IoFlusher = 'on' | 'denied' | 'unknown';

const SET = 57;
const GET = 58;
const EINVAL = 22;
/** F_SETFD of fcntl(2). */
const SET_FLAGS = 2;
/** Set for the process that takes over, so that none is begun over and over. */
const TRIED = 'GODWIT_IO_FLUSHER';

type Prctl = (option: number, a: number, b: number, c: number, d: number) => number;
type Fcntl = (fd: number, command: number, flags: number) => number;
type Execve = (path: string, words: (string | null)[], environment: (string | null)[]) => number;

interface Native {
  readonly prctl: Prctl;
  readonly fcntl: Fcntl;
  readonly execve: Execve;
}

let native: Native | undefined;

function load(): Native | undefined {
  if (process.platform !== 'linux' || !['x64', 'arm64'].includes(process.arch)) return undefined;
  const libc = koffi.load(null);
  native ??= {
    prctl: libc.func('int prctl(int, uint64_t, uint64_t, uint64_t, uint64_t)') as unknown as Prctl,
    fcntl: libc.func('int fcntl(int, int, int)') as unknown as Fcntl,
    execve: libc.func('int execve(const char *, const char **, const char **)') as unknown as Execve,
  };
  return native;
}

/** What this process is. Only who may become one may ask. */
export function ioFlusher(): IoFlusher {
  const now = load()?.prctl(GET, 0, 0, 0, 0);
  if (now === undefined || (now < 0 && koffi.errno() === EINVAL)) return 'unknown';
  return now === 1 ? 'on' : 'denied';
}

/**
 * Makes this process one, if it may be. The setting belongs to a thread, and goes to those that it begins: threads that are
 * there already would be without. So the same program is begun once more, in this process, which has the setting
 * from its first thread on. To be called before anything else is begun.
 */
export function becomeIoFlusher(): IoFlusher {
  const now = ioFlusher();
  if (now !== 'denied' || process.env[TRIED] !== undefined) return now;
  if (load()?.prctl(SET, 1, 0, 0, 0) !== 0) return 'denied';
  startAnew({ ...process.env, [TRIED]: '1' });
  return 'denied';
}

/** The same command in the same process; comes back only if that cannot be. */
export function startAnew(environment: NodeJS.ProcessEnv): void {
  const words = [process.argv0, ...process.execArgv, ...process.argv.slice(1), null];
  // Node has its own input and output closed in whatever is started.
  for (const fd of [0, 1, 2]) load()?.fcntl(fd, SET_FLAGS, 0);
  const settings = Object.entries(environment).map(([name, value]) => `${name}=${value}`);
  load()?.execve(process.execPath, words, [...settings, null]);
}
