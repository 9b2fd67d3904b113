import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import type { Readable } from 'node:stream';
import { cpuFromStat, cpuSecondsOf, peakRssOf, treeOf } from './process-stats.ts';

/**
 * Runs a program and, once it has ended, says what it used: a process that was
 * waited for is gone from /proc, but the shell that waited for it remembers its
 * CPU time exactly. `$$` of the inner shell becomes the program's pid.
 */
const WRAPPER = `
sh -c 'echo "pid $$" >&3; exec "$@" 3>&-' sh "$@"
code=$?
read -r stat < "/proc/$$/stat" && echo "stat $stat" >&3
exit $code`;

const POLL_MS = 100;
const KEPT_LINES = 30;
const alive = new Set<MeasuredProcess>();
process.on('exit', () => {
  for (const each of alive) each.signal('SIGKILL');
});

export interface MeasuredExit {
  readonly code: number | null;
  /** From start to end. */
  readonly seconds: number;
  /** Its own and its children's; undefined where there is no /proc. */
  readonly cpuSeconds: number | undefined;
  /** The sum of what each of its processes held at most. */
  readonly peakRssMiB: number | undefined;
}

/** A child process whose time, CPU and memory are measured, with all that it starts. */
export class MeasuredProcess {
  readonly exited: Promise<MeasuredExit>;
  readonly startedMs = performance.now();
  readonly #shell: ChildProcess;
  readonly #peaks = new Map<number, number>();
  readonly #tail: string[] = [];
  #pid: number | undefined;
  #cpuSeconds: number | undefined;

  constructor(
    argv: readonly string[],
    options: { readonly env?: Readonly<Record<string, string>>; readonly onLine?: (line: string) => void } = {},
  ) {
    const shell = spawn('sh', ['-c', WRAPPER, 'sh', ...argv], {
      stdio: ['ignore', 'pipe', 'pipe', 'pipe'],
      env: { ...process.env, ...options.env },
    });
    this.#shell = shell;
    alive.add(this);
    const [, out, err, told] = shell.stdio as unknown as [null, Readable, Readable, Readable];
    const ended = [
      readLines(out, options.onLine ?? ((line) => this.#keep(line))),
      readLines(err, (line) => this.#keep(line)),
      readLines(told, (line) => this.#told(line)),
    ];
    const timer = setInterval(() => this.#look(), POLL_MS);
    this.exited = once(shell, 'exit').then(async ([code]) => {
      const seconds = (performance.now() - this.startedMs) / 1000;
      clearInterval(timer);
      await Promise.all(ended);
      alive.delete(this);
      return { code: code as number | null, seconds, cpuSeconds: this.#cpuSeconds, peakRssMiB: this.peakRssMiB };
    });
  }

  get running(): boolean {
    return this.#shell.exitCode === null && this.#shell.signalCode === null;
  }

  /** So far; for a process that goes on running. */
  get cpuSeconds(): number | undefined {
    return this.#pid === undefined ? undefined : cpuSecondsOf(this.#pid);
  }

  get peakRssMiB(): number | undefined {
    if (this.running) this.#look();
    if (this.#peaks.size === 0) return undefined;
    return [...this.#peaks.values()].reduce((sum, bytes) => sum + bytes, 0) / 2 ** 20;
  }

  /** What it said last, for messages. */
  get tail(): string {
    return this.#tail.join('\n');
  }

  /** To the program itself; the shell only waits. */
  signal(signal: NodeJS.Signals): void {
    if (this.#pid === undefined || !this.running) return;
    const pids = signal === 'SIGKILL' ? treeOf(this.#pid) : [this.#pid];
    for (const pid of pids) {
      try {
        process.kill(pid, signal);
      } catch {
        // it has just ended
      }
    }
  }

  /** Asks it to end, and insists after a while. */
  async stop(signal: NodeJS.Signals = 'SIGINT', patienceMs = 20_000): Promise<MeasuredExit> {
    this.signal(signal);
    const timer = setTimeout(() => this.signal('SIGKILL'), patienceMs);
    const exit = await this.exited;
    clearTimeout(timer);
    return exit;
  }

  #look(): void {
    if (this.#pid === undefined) return;
    for (const pid of treeOf(this.#pid)) {
      const peak = peakRssOf(pid);
      if (peak !== undefined) this.#peaks.set(pid, Math.max(peak, this.#peaks.get(pid) ?? 0));
    }
  }

  #told(line: string): void {
    if (line.startsWith('pid ')) this.#pid = Number(line.slice(4));
    if (line.startsWith('stat ')) this.#cpuSeconds = cpuFromStat(line.slice(5)).children;
  }

  #keep(line: string): void {
    this.#tail.push(line);
    if (this.#tail.length > KEPT_LINES) this.#tail.shift();
  }
}

/** Resolves when the stream has ended and every line was taken. */
function readLines(stream: Readable, take: (line: string) => void): Promise<unknown> {
  const lines = createInterface({ input: stream });
  lines.on('line', take);
  return once(lines, 'close');
}

/** Runs a program to its end; throws when it fails. */
export async function measure(argv: readonly string[], env?: Readonly<Record<string, string>>): Promise<MeasuredExit> {
  const child = new MeasuredProcess(argv, env ? { env } : {});
  const exit = await child.exited;
  if (exit.code !== 0) throw new Error(`${argv[0]} ended with ${exit.code}:\n${child.tail}`);
  return exit;
}
