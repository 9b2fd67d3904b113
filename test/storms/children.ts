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
  /** Whether processes of the application carry old rows, too. */
  readonly doesRelay: boolean;
  readonly lie?: Lie | undefined;
}

/** What a command needs to know. */
export type CommandPlace = Pick<Place, 'programs' | 'db' | 'work'>;

type Unnumbered<T> = T extends { readonly n: number } ? Omit<T, 'n'> : never;
type Question = Unnumbered<Order>;

const MOST_CLOSING_MS = 5_000;

/** One process of the application, for one storm after the other; a new one in its place when it was killed. */
export class Application {
  readonly #programs: Programs;
  readonly #name: string;
  readonly #waiting = new Map<number, (answer: Answer | undefined) => void>();
  #child: ChildProcess | undefined;
  /** Where it works now; undefined between storms. */
  #at: { readonly place: Place; readonly log: Log } | undefined;
  #ready: Promise<void> = Promise.resolve();
  #orders = 0;

  constructor(programs: Programs, name: string) {
    this.#programs = programs;
    this.#name = name;
  }

  /** Opens the storm's database. Resolves when it can be told something. */
  async begin(place: Place, log: Log): Promise<void> {
    this.#at = { place, log };
    if (!this.#child || hasEnded(this.#child)) this.#start();
    else this.#open(this.#child);
    await this.#isReady();
  }

  /** Closes what `begin` opened. A process that cannot do it at once is not used again. */
  async end(): Promise<void> {
    this.#at = undefined;
    const child = this.#child;
    if (!child || hasEnded(child)) return;
    const closed = this.#send(child, { kind: 'end' });
    const late = setTimeout(() => child.kill('SIGKILL'), MOST_CLOSING_MS);
    await closed;
    clearTimeout(late);
  }

  /** Undefined when the process died before it answered. */
  async ask(order: Question): Promise<Answer | undefined> {
    await this.#isReady();
    return this.#child && this.#send(this.#child, order);
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

  /** Ends the process. */
  async close(): Promise<void> {
    this.#at = undefined;
    if (this.#child) await ended(this.#child);
  }

  /** A process killed while it started has been replaced by one that is not ready either. */
  async #isReady(): Promise<void> {
    for (let awaited: Promise<void> | undefined; awaited !== this.#ready; ) {
      awaited = this.#ready;
      await awaited;
    }
  }

  #send(child: ChildProcess, order: Question): Promise<Answer | undefined> {
    const n = ++this.#orders;
    return new Promise((resolve) => {
      this.#waiting.set(n, resolve);
      child.send({ ...order, n }, (error) => {
        if (error) this.#settle(n, undefined);
      });
    });
  }

  #start(): void {
    const child = fork(this.#programs.application, { execArgv: [], stdio: ['ignore', 'pipe', 'pipe', 'ipc'] });
    this.#child = child;
    guarded(child, this.#programs);
    child.stderr?.on('data', (text: Buffer) => this.#at?.log(`${this.#name}: ${text.toString().trim()}`));
    child.on('message', (answer: Answer) => this.#settle(answer.n, answer));
    child.on('exit', () => {
      for (const n of [...this.#waiting.keys()]) this.#settle(n, undefined);
      if (this.#at) this.#start();
    });
    this.#open(child);
  }

  #open(child: ChildProcess): void {
    if (!this.#at) return;
    const { db, doesRelay, lie } = this.#at.place;
    this.#ready = this.#send(child, { kind: 'begin', db, relay: doesRelay, ...(lie ? { lie } : {}) }).then(
      () => undefined,
    );
  }

  #settle(n: number, answer: Answer | undefined): void {
    this.#waiting.get(n)?.(answer);
    this.#waiting.delete(n);
  }
}

export function hasEnded(child: ChildProcess): boolean {
  return child.exitCode !== null || child.signalCode !== null;
}

/** Kills it and waits until it is gone. */
export async function ended(child: ChildProcess): Promise<void> {
  if (hasEnded(child)) return;
  const gone = once(child, 'exit');
  child.kill('SIGKILL');
  await gone;
}

/** Ends with us, even when we are killed. */
export function guarded(child: ChildProcess, { guard }: Programs): void {
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

/** A command that has been given. */
export interface Running {
  readonly said: Promise<Said>;
  kill(): void;
}

export function commandEnvironment({ programs, db, work }: CommandPlace): Record<string, string> {
  return { GODWIT_DB: db, GODWIT_DEFINITION: programs.definition, GODWIT_REMODEL: 'subs', GODWIT_WORK: work };
}

/** `godwit remodel …` as a process of its own. */
export class Command implements Running {
  readonly said: Promise<Said>;
  readonly #child: ChildProcess;

  constructor(place: CommandPlace, words: readonly string[]) {
    const { programs } = place;
    this.#child = spawn(process.execPath, [...programs.nodeFlags, programs.cli, 'remodel', ...words, '--json'], {
      env: { ...process.env, ...commandEnvironment(place) },
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
