import type { Done } from '../../../kernel/protect/ports.ts';

/**
 * One commit at a time; what arrives meanwhile goes together into the next. So writes
 * of two commits never touch the same bytes at once, and one sync serves many.
 */
export class GroupCommit<T> {
  #waiting: T[] = [];
  #running = false;
  readonly #most: number;
  readonly #commit: (batch: T[], done: Done) => void;
  readonly #failed: (error: Error) => void;

  constructor(commit: (batch: T[], done: Done) => void, failed: (error: Error) => void, most = 4096) {
    this.#commit = commit;
    this.#failed = failed;
    this.#most = most;
  }

  get isIdle(): boolean {
    return !this.#running && this.#waiting.length === 0;
  }

  push(...items: T[]): void {
    for (const item of items) this.#waiting.push(item);
    this.#run();
  }

  #run(): void {
    if (this.#running || this.#waiting.length === 0) return;
    this.#running = true;
    const batch = this.#waiting.splice(0, this.#most);
    this.#commit(batch, (error) => {
      this.#running = false;
      if (error) this.#failed(error);
      else this.#run();
    });
  }
}

/** Calls `done` once when `count` calls were made, with the first error there was. */
export function gather(count: number, done: Done): Done {
  let left = count;
  let failure: Error | undefined;
  if (count === 0) done();
  return (error) => {
    failure ??= error;
    left -= 1;
    if (left === 0) done(failure);
  };
}
