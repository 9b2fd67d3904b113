/** The processes of a storm: application, relay and commands, each to be killed at any moment. */
import { type ChildProcess, fork, spawn } from 'node:child_process';
import { once } from 'node:events';
import type { Answer, Lie, Order } from './application.ts';
import type { Programs } from './programs.ts';

export type Log = (line: string) => void;

/** Where processes of a storm work. */
export interface Place {
  readonly programs: Programs;
  readonly db: string;
  /** Directory of the commands. */
  readonly work: string;
  readonly lie?: Lie | undefined;
}

type Unnumbered<T> = T extends { readonly n: number } ? Omit<T, 'n'> : never;

/** One process of the application; a new one in its place when it was killed. */
export class Application {
  readonly #place: Place;
  readonly #log: Log;
  readonly #name: string;
  readonly #waiting = new Map<number, (answer: Answer | undefined) => void>();
  #child: ChildProcess | undefined;
  #ready: Promise<void> = Promise.resolve();
  #orders = 0;
  #isStopping = false;

  constructor(place: Place, name: string, log: Log) {
    this.#place = place;
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
    // A process killed while it started has been replaced by one that is not ready either.
    for (let awaited: Promise<void> | undefined; awaited !== this.#ready; ) {
      awaited = this.#ready;
      await awaited;
    }
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

  /** Stands still until it is told to go on, as a machine that was suspended. Gives what lets it go on. */
  freeze(): () => void {
    const child = this.#child;
    child?.kill('SIGSTOP');
    return () => child?.kill('SIGCONT');
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
    const { programs, db, lie } = this.#place;
    const child = fork(programs.application, {
      execArgv: [],
      env: { ...process.env, STORM_DB: db, ...(lie ? { STORM_LIE: lie } : {}) },
      stdio: ['ignore', 'pipe', 'pipe', 'ipc'],
    });
    this.#child = child;
    guarded(child, programs);
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

function guarded(child: ChildProcess, { guard }: Programs): void {
  const { pid } = child;
  if (pid === undefined) return;
  guard?.add(pid);
  child.once('exit', () => guard?.remove(pid));
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

  constructor({ programs, db, work }: Place, words: readonly string[]) {
    this.#child = spawn(process.execPath, [...programs.nodeFlags, programs.cli, 'remodel', ...words, '--json'], {
      env: {
        ...process.env,
        GODWIT_DB: db,
        GODWIT_DEFINITION: programs.definition,
        GODWIT_REMODEL: 'subs',
        GODWIT_WORK: work,
      },
      stdio: ['ignore', 'pipe', 'pipe'],
    });
    guarded(this.#child, programs);
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
