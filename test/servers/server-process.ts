import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { closeSync, openSync, readFileSync, statSync } from 'node:fs';
import type { ProcessGuard } from './process-guard.ts';
import { StopWaiting, waitFor } from './wait-for.ts';

export interface ServerProcessSpec {
  /** What messages call it. */
  readonly name: string;
  readonly file: string;
  /** One of them, or `argv0`, must name the guard's directory: the watchdog knows its processes by it. */
  readonly args: readonly string[];
  readonly argv0?: string;
  readonly env?: NodeJS.ProcessEnv;
  readonly logPath: string;
  readonly guard: ProcessGuard;
}

const START_TIMEOUT_MS = 60_000;

/** A server that stays in the foreground, writes to a log file, and ends with the tests. */
export class ServerProcess {
  readonly #spec: ServerProcessSpec;
  #child: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();

  constructor(spec: ServerProcessSpec) {
    this.#spec = spec;
  }

  get pid(): number | undefined {
    return this.#child?.pid;
  }

  /** Resolves once what it has printed since this start makes `ready` true; rejects with its last words if it ends. */
  async start(ready: (printed: string) => boolean | Promise<boolean>): Promise<void> {
    const { name, file, args, argv0, env, logPath, guard } = this.#spec;
    if (this.#child !== undefined) throw new Error(`${name} (pid ${this.pid}) is running already`);
    const log = openSync(logPath, 'a');
    const logStart = statSync(logPath).size;
    // A session of its own: Ctrl-C in the terminal is for the program under test, not for its servers.
    const child = spawn(file, args, { stdio: ['ignore', log, log], detached: true, cwd: '/', argv0, env });
    closeSync(log);
    const { pid } = child;
    if (pid === undefined) {
      const [error] = (await once(child, 'error')) as [Error];
      throw error;
    }
    guard.add(pid);
    this.#child = child;
    this.#exited = once(child, 'exit').then(() => {
      guard.remove(pid);
      this.#child = undefined;
    });
    child.unref();
    const printed = (): string => readFileSync(logPath).subarray(logStart).toString('utf8');
    await waitFor(
      async () => {
        const text = printed();
        if (await ready(text)) return true;
        if (this.#child === undefined)
          throw new StopWaiting(`${name} did not start:\n${text.trimEnd().split('\n').slice(-25).join('\n')}`);
        return false;
      },
      { timeoutMs: START_TIMEOUT_MS, what: `${name} to start (log: ${logPath})` },
    );
  }

  /** Sends the signal and waits until the process is gone. */
  async end(signal: NodeJS.Signals): Promise<void> {
    this.#child?.ref();
    this.#child?.kill(signal);
    await this.#exited;
  }
}
