/** A control group whose processes may use only so much memory, their page cache included. */
import { existsSync, mkdirSync, rmdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { waitFor } from './wait-for.ts';

const GROUPS = '/sys/fs/cgroup';

export class MemoryLimit {
  readonly #path: string;

  /** Nothing where this machine lets nobody make one. */
  static make(name: string, bytes: number): MemoryLimit | undefined {
    const isOld = existsSync(join(GROUPS, 'memory/memory.limit_in_bytes'));
    const path = join(GROUPS, isOld ? 'memory' : '', `${name}-${process.pid}`);
    try {
      mkdirSync(path);
      writeFileSync(join(path, isOld ? 'memory.limit_in_bytes' : 'memory.max'), String(bytes));
    } catch {
      return undefined;
    }
    return new MemoryLimit(path);
  }

  private constructor(path: string) {
    this.#path = path;
  }

  /** With all that it starts from now on. What it has already counts elsewhere. */
  add(pid: number): void {
    writeFileSync(join(this.#path, 'cgroup.procs'), String(pid));
  }

  /** Words for a shell: this process, then what comes after it. */
  get enter(): string {
    return `echo $$ > ${join(this.#path, 'cgroup.procs')}`;
  }

  async close(): Promise<void> {
    const isGone = () => {
      try {
        rmdirSync(this.#path);
      } catch {
        return !existsSync(this.#path);
      }
      return true;
    };
    await waitFor(isGone, { timeoutMs: 20_000, what: 'the processes of a control group to end' });
  }
}
