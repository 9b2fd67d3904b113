/** The three roles as processes of the built command, as three machines would run them. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';
import { waitFor } from './wait-for.ts';

const MAIN = resolve(import.meta.dirname, '../../dist/cli/main.js');

/** One running `godwit protect …`. */
export class RoleProcess {
  readonly #child: ChildProcess;
  readonly #exited: Promise<unknown>;
  readonly #events: { kind: string; data: Record<string, unknown> }[] = [];
  readonly #name: string;

  /** @param within a command that runs another one in a place of its own, `nsenter …` say */
  constructor(name: string, dir: string, words: readonly string[], within: readonly string[] = []) {
    this.#name = name;
    const [command, ...args] = [...within, process.execPath, MAIN, 'protect', ...words, '--json'] as [string];
    this.#child = spawn(command, args, { stdio: ['ignore', 'pipe', 'pipe'] });
    this.#exited = once(this.#child, 'exit');
    const log = createWriteStream(join(dir, `${name}.log`), { flags: 'a' });
    this.#child.stderr?.pipe(log);
    createInterface({ input: this.#child.stdout as NodeJS.ReadableStream }).on('line', (line) => {
      log.write(`${line}\n`);
      this.#events.push(JSON.parse(line) as { kind: string; data: Record<string, unknown> });
    });
  }

  /** Resolves when it has said so, at least once. */
  async said(kind: string, timeoutMs = 30_000): Promise<void> {
    await waitFor(() => this.#events.some((event) => event.kind === kind) || this.#child.exitCode !== null, {
      timeoutMs,
      what: `the ${this.#name} to say ${kind}`,
    });
    if (this.#child.exitCode !== null) throw new Error(`the ${this.#name} ended with ${this.#child.exitCode}`);
  }

  /** As when the machine loses power. */
  async kill(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGKILL');
    await this.#exited;
  }

  /** Stands still, as a virtual machine that is moved does; `goOn` ends that. */
  pause(): void {
    this.#child.kill('SIGSTOP');
  }

  goOn(): void {
    this.#child.kill('SIGCONT');
  }

  get pid(): number {
    return this.#child.pid as number;
  }

  get isOver(): boolean {
    return this.#child.exitCode !== null || this.#child.signalCode !== null;
  }

  async stop(): Promise<void> {
    if (this.#child.exitCode === null && this.#child.signalCode === null) this.#child.kill('SIGTERM');
    await this.#exited;
  }
}

/** Runs one `godwit protect …` to its end; gives what it printed. */
export async function protectCommand(
  words: readonly string[],
): Promise<{ readonly code: number | null; readonly out: string; readonly err: string }> {
  const child = spawn(process.execPath, [MAIN, 'protect', ...words], { stdio: ['ignore', 'pipe', 'pipe'] });
  let [out, err] = ['', ''];
  child.stdout.on('data', (chunk) => {
    out += chunk;
  });
  child.stderr.on('data', (chunk) => {
    err += chunk;
  });
  const [code] = (await once(child, 'close')) as [number | null];
  return { code, out, err };
}
