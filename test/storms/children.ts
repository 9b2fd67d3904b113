/** The processes of a storm: application, relay and commands, each to be killed at any moment. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import { fileURLToPath } from 'node:url';
import type { Answer, Order } from './application.ts';

const here = (path: string): string => fileURLToPath(new URL(path, import.meta.url));
const LOADER = ['--import', 'tsx'];
const CLI = here('../../src/cli/main.ts');

export type Log = (line: string) => void;

type Unnumbered<T> = T extends { readonly n: number } ? Omit<T, 'n'> : never;

/** One process of the application; a new one in its place when it was killed. */
export class Application {
  readonly #db: string;
  readonly #log: Log;
  readonly #name: string;
  readonly #waiting = new Map<number, (answer: Answer | undefined) => void>();
  #child: ChildProcess | undefined;
  #ready: Promise<void> = Promise.resolve();
  #orders = 0;
  #isStopping = false;

  constructor(db: string, name: string, log: Log) {
    this.#db = db;
    this.#name = name;
    this.#log = log;
    this.#start();
  }

  /** Resolves when the process can be told something. */
  get ready(): Promise<void> {
    return this.#ready;
  }

  /** Undefined when the process died before it answered. */
  async ask(order: Unnumbered<Order>): Promise<Answer | undefined> {
    await this.#ready;
    const n = ++this.#orders;
    const child = this.#child;
    return new Promise((resolve) => {
      this.#waiting.set(n, resolve);
      child?.send({ ...order, n }, (error) => {
        if (error) this.#settle(n, undefined);
      });
    });
  }

  kill(): void {
    this.#child?.kill('SIGKILL');
  }

  async stop(): Promise<void> {
    this.#isStopping = true;
    const child = this.#child;
    if (!child || child.exitCode !== null || child.signalCode !== null) return;
    const ended = once(child, 'exit');
    child.kill('SIGKILL');
    await ended;
  }

  #start(): void {
    const child = fork(here('application.ts'), {
      execArgv: LOADER,
      env: { ...process.env, STORM_DB: this.#db },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    child.stderr?.on('data', (text: Buffer) => this.#log(`${this.#name}: ${text.toString().trim()}`));
    this.#ready = new Promise((resolve) => {
      child.on('message', (answer: Answer) => {
        if (answer.kind === 'ready') resolve();
        else this.#settle(answer.n, answer);
      });
      child.on('exit', () => {
        resolve();
        for (const n of [...this.#waiting.keys()]) this.#settle(n, undefined);
        if (!this.#isStopping) this.#start();
      });
    });
  }

  #settle(n: number, answer: Answer | undefined): void {
    this.#waiting.get(n)?.(answer);
    this.#waiting.delete(n);
  }
}

export interface Said {
  /** Null when it was killed. */
  readonly code: number | null;
  readonly out: string;
  readonly err: string;
}

/** `godwit remodel …` as a process of its own. */
export class Command {
  readonly said: Promise<Said>;
  readonly #child: ChildProcess;

  constructor(place: { readonly db: string; readonly work: string }, words: readonly string[]) {
    this.#child = spawn(process.execPath, [...LOADER, CLI, 'remodel', ...words, '--json'], {
      env: {
        ...process.env,
        GODWIT_DB: place.db,
        GODWIT_DEFINITION: here('../e2e/remodel/subscriptions.fixture.ts'),
        GODWIT_REMODEL: 'subs',
        GODWIT_WORK: place.work,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    let [out, err] = ['', ''];
    this.#child.stdout?.on('data', (text: Buffer) => {
      out += text;
    });
    this.#child.stderr?.on('data', (text: Buffer) => {
      err += text;
    });
    this.said = once(this.#child, 'close').then(([code]) => ({ code: code as number | null, out, err }));
  }

  get pids(): readonly number[] {
    return this.#child.pid === undefined ? [] : [this.#child.pid];
  }

  kill(): void {
    this.#child.kill('SIGKILL');
  }
}
