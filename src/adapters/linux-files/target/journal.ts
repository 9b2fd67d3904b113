import { closeSync, existsSync, fdatasyncSync, mkdirSync, openSync, readFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import type { Mapping } from '../source/roots.ts';

/**
 * What the target remembers of a move: which bundle it has carried out last, and
 * which of them is certainly on the medium. A process that is killed loses nothing
 * that it wrote, so after it the first one counts; after the machine went down,
 * only the second.
 */
export interface MoveOnTarget {
  readonly move: string;
  readonly mappings: readonly Mapping[];
}

interface Line {
  readonly move?: string;
  readonly mappings?: readonly Mapping[];
  readonly boot?: string;
  readonly done?: number;
  readonly synced?: number;
}

export class Journal {
  readonly #fd: number;
  readonly move: MoveOnTarget | undefined;
  #done = 0;
  #synced = 0;

  constructor(stateDir: string, boot: string) {
    mkdirSync(stateDir, { recursive: true, mode: 0o700 });
    const path = join(stateDir, 'journal');
    let known: MoveOnTarget | undefined;
    let lastBoot = boot;
    let whole = 0;
    if (existsSync(path)) {
      const text = readFileSync(path, 'utf8');
      // What follows the last line feed was torn.
      whole = text.lastIndexOf('\n') + 1;
      for (const each of text.slice(0, whole).split('\n')) {
        if (each === '') continue;
        const line = JSON.parse(each) as Line;
        if (line.move !== undefined) known = { move: line.move, mappings: line.mappings ?? [] };
        if (line.boot !== undefined) lastBoot = line.boot;
        if (line.done !== undefined) this.#done = line.done;
        if (line.synced !== undefined) this.#synced = line.synced;
      }
      if (whole < text.length) this.#repair(path, text.slice(0, whole));
    }
    this.move = known;
    this.#fd = openSync(path, 'a', 0o600);
    if (lastBoot !== boot) this.#done = this.#synced;
    this.#write({ boot, done: this.#done });
  }

  #repair(path: string, text: string): void {
    const fd = openSync(path, 'w', 0o600);
    writeSync(fd, text);
    fdatasyncSync(fd);
    closeSync(fd);
  }

  /** The last bundle that need not come again. */
  get done(): number {
    return this.#done;
  }

  begin(move: MoveOnTarget): void {
    this.#write(move);
    fdatasyncSync(this.#fd);
  }

  carriedOut(sequence: number): void {
    this.#done = sequence;
    this.#write({ done: sequence });
  }

  /** All up to this bundle is on the medium. */
  synced(sequence: number): void {
    this.#synced = sequence;
    this.#write({ synced: sequence });
    fdatasyncSync(this.#fd);
  }

  close(): void {
    closeSync(this.#fd);
  }

  #write(line: Line): void {
    writeSync(this.#fd, `${JSON.stringify(line)}\n`);
  }
}
