import { type Remark, toText, type Why } from '../../adapters/linux-files/index.ts';
import type { Noted } from './api.ts';

const EXAMPLES = 100;

/** Counts remarks by why; of each kind the first are kept by name, so that a million of them need no memory. */
export class Notes {
  readonly #byWhy = new Map<Why, { count: number; examples: string[] }>();

  add({ why, path, detail }: Remark): void {
    const noted = this.#byWhy.get(why) ?? { count: 0, examples: [] };
    noted.count += 1;
    const name = path === '' ? '.' : toText(path);
    if (noted.examples.length < EXAMPLES) noted.examples.push(detail === undefined ? name : `${name} (${detail})`);
    this.#byWhy.set(why, noted);
  }

  /** Every round says everything anew. */
  clear(): void {
    this.#byWhy.clear();
  }

  count(why: Why): number {
    return this.#byWhy.get(why)?.count ?? 0;
  }

  get all(): Record<string, Noted> {
    return Object.fromEntries(this.#byWhy);
  }
}
