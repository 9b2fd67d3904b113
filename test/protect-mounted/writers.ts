/** Programs that append to files and sync them: what `fsync` has promised is written down here. */
import { createHash } from 'node:crypto';
import { mkdir, open, readFile } from 'node:fs/promises';
import { join } from 'node:path';

const LINES_A_FILE = 200;

/** What a line says, so that none can be taken for another. */
function line(writer: number, number: number): string {
  const text = `${writer} ${number} `;
  return `${text}${createHash('sha256')
    .update(text)
    .digest('hex')
    .repeat(1 + (number % 40))}\n`;
}

export class Writers {
  readonly #dir: string;
  readonly #work: Promise<void>[];
  /** Of each writer, how many lines are promised. */
  readonly synced: number[];
  /** The first thing that went wrong. */
  error: Error | undefined;
  /** The longest that one fsync took. */
  longestMs = 0;
  #running = true;

  constructor(dir: string, count: number) {
    this.#dir = dir;
    this.synced = Array.from({ length: count }, () => 0);
    this.#work = this.synced.map((_, writer) => this.#write(writer));
  }

  get total(): number {
    return this.synced.reduce((sum, each) => sum + each, 0);
  }

  async stop(): Promise<void> {
    this.#running = false;
    await Promise.all(this.#work);
  }

  async #write(writer: number): Promise<void> {
    try {
      const folder = join(this.#dir, `writer-${writer}`);
      await mkdir(folder);
      for (let file = 0; this.#running; file += 1) {
        const handle = await open(join(folder, String(file)), 'ax');
        try {
          for (let i = 0; i < LINES_A_FILE && this.#running; i += 1) {
            const number = file * LINES_A_FILE + i;
            await handle.appendFile(line(writer, number));
            const began = performance.now();
            await handle.sync();
            this.longestMs = Math.max(this.longestMs, performance.now() - began);
            this.synced[writer] = number + 1;
          }
        } finally {
          await handle.close();
        }
        // So that its name is there, too.
        const parent = await open(folder, 'r');
        await parent.sync();
        await parent.close();
      }
    } catch (error) {
      this.error ??= error as Error;
    }
  }

  /** What was promised and is not there, by what the files say now. */
  async lost(dir = this.#dir): Promise<string[]> {
    const lost: string[] = [];
    for (const [writer, count] of this.synced.entries()) {
      for (let file = 0; file * LINES_A_FILE < count; file += 1) {
        const path = join(dir, `writer-${writer}`, String(file));
        const content = await readFile(path, 'utf8').catch(() => '');
        const last = Math.min(count, (file + 1) * LINES_A_FILE);
        let wanted = '';
        for (let number = file * LINES_A_FILE; number < last; number += 1) wanted += line(writer, number);
        if (!content.startsWith(wanted)) lost.push(`${path} lacks something of its first ${wanted.length} bytes`);
      }
    }
    return lost;
  }
}
