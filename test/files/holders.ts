/** Files that nobody else can open: held alone by a lease, or refused by a program that is asked about each open. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { createInterface } from 'node:readline';
import { fileURLToPath } from 'node:url';

const PROGRAM = fileURLToPath(new URL('./holders.py', import.meta.url));

export class Holder implements AsyncDisposable {
  readonly #child;
  readonly #lines;

  private constructor(how: 'lease' | 'deny', files: readonly string[]) {
    this.#child = spawn('python3', [PROGRAM, how, ...files], { stdio: ['pipe', 'pipe', 'inherit'] });
    this.#lines = createInterface({ input: this.#child.stdout })[Symbol.asyncIterator]();
  }

  /** Holds, or refuses, until it is disposed of. */
  static async begin(how: 'lease' | 'deny', ...files: readonly string[]): Promise<Holder> {
    const holder = new Holder(how, files);
    await holder.#said('ready');
    return holder;
  }

  /** Writes a hundred bytes through the descriptor that it holds. */
  async store(file: string, offset: number): Promise<void> {
    this.#child.stdin.write(`store ${file} ${offset}\n`);
    await this.#said('stored');
  }

  async #said(word: string): Promise<void> {
    const { value } = await this.#lines.next();
    if (value !== word) throw new Error(`The holder said ${value} instead of ${word}`);
  }

  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#child.exitCode !== null) return;
    const closed = once(this.#child, 'close');
    this.#child.stdin.end();
    await closed;
  }
}
