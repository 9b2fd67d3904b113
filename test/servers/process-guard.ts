import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdirSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * Waits until its stdin closes, which the kernel does however our process ends, then kills the
 * processes listed in `$1/pids` and removes `$1`. The command line is compared first, so that a pid
 * that was given to somebody else in the meantime is left alone.
 */
const WATCHDOG = `
trap '' HUP INT TERM
while read -r _; do :; done
for file in "$1"/pids/*; do
  pid=\${file##*/}
  case $pid in *[!0-9]*) continue ;; esac
  if [ -d /proc/self ] && ! grep -qF -- "$1" "/proc/$pid/cmdline" 2>/dev/null; then continue; fi
  kill -9 "$pid" 2>/dev/null
done
for attempt in 1 2 3 4 5 6 7 8 9 10; do
  rm -rf "$1" 2>/dev/null && exit 0
  sleep 0.2
done
`;

/**
 * Answers for the processes that work in one directory: whatever way this Node process ends, they are
 * killed and the directory is removed. Every such process must name the directory on its command line.
 *
 * - a normal exit, or SIGINT/SIGTERM that nobody else handles: killed here, synchronously;
 * - SIGINT/SIGTERM handled by the host program: left running, since the host may be shutting down
 *   gracefully and still need them; its exit then kills them;
 * - SIGKILL or a crash: killed by a `sh` watchdog in a session of its own, which notices that the pipe
 *   from us has closed.
 */
export class ProcessGuard {
  readonly #dir: string;
  readonly #pids = new Set<number>();
  readonly #watchdog: ChildProcess;

  constructor(dir: string) {
    this.#dir = dir;
    mkdirSync(join(dir, 'pids'), { recursive: true });
    this.#watchdog = spawn('sh', ['-c', WATCHDOG, 'godwit-watchdog', dir], {
      stdio: ['pipe', 'ignore', 'ignore'],
      detached: true,
      cwd: '/',
    });
    this.#watchdog.on('error', () => {}); // no sh: the other two ways still work
    this.#watchdog.stdin?.on('error', () => {});
    this.#watchdog.unref();
    (this.#watchdog.stdin as unknown as { unref?: () => void } | null)?.unref?.();
    register(this);
  }

  get watchdogPid(): number | undefined {
    return this.#watchdog.pid;
  }

  add(pid: number): void {
    this.#pids.add(pid);
    writeFileSync(join(this.#dir, 'pids', String(pid)), '');
  }

  remove(pid: number): void {
    this.#pids.delete(pid);
    rmSync(join(this.#dir, 'pids', String(pid)), { force: true });
  }

  /** Kills what is left and removes the directory; safe to call in an exit handler. */
  cleanUpNow(): void {
    for (const pid of this.#pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // already gone
      }
    }
    try {
      rmSync(this.#dir, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
    } catch {
      // a dying server was still writing; the watchdog tries again
    }
  }

  /** The regular end: the caller has stopped its processes. */
  async close(): Promise<void> {
    unregister(this);
    this.cleanUpNow();
    const { exitCode, signalCode, pid } = this.#watchdog;
    if (pid === undefined || exitCode !== null || signalCode !== null) return;
    this.#watchdog.ref();
    const exited = once(this.#watchdog, 'exit');
    this.#watchdog.stdin?.end();
    await exited;
  }
}

const guards = new Set<ProcessGuard>();

function register(guard: ProcessGuard): void {
  if (guards.size === 0) {
    process.on('exit', cleanUpAll);
    process.on('SIGINT', onSignal);
    process.on('SIGTERM', onSignal);
  }
  guards.add(guard);
}

function unregister(guard: ProcessGuard): void {
  guards.delete(guard);
  if (guards.size === 0) stopListening();
}

function stopListening(): void {
  process.removeListener('exit', cleanUpAll);
  process.removeListener('SIGINT', onSignal);
  process.removeListener('SIGTERM', onSignal);
}

function cleanUpAll(): void {
  for (const guard of guards) guard.cleanUpNow();
}

function onSignal(signal: NodeJS.Signals): void {
  if (process.listenerCount(signal) > 1) return;
  cleanUpAll();
  stopListening();
  process.kill(process.pid, signal); // die of it, as the process would have done without us
}
