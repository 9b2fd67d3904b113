/**
 * What a target held before a move began, as far as a proof found it equal to the source: the first round takes it for
 * sent. What the source's proof read is in its memory, with the signature that it had then: a file that changed since is
 * not equal any more.
 */
import type { BytePath } from '../libc/bytes.ts';
import type { Difference } from '../proof/differences.ts';
import { Memo } from '../proof/memo.ts';
import { walkKey } from './catalog-record.ts';

export class Adopted {
  readonly #memo: Memo;
  /** The key of the last difference that is known; undefined when all of them are. */
  readonly #upTo: string | undefined;

  /** `proof`: the memory of the proof that found these differences, and how many there were. */
  constructor(proof: string, differences: readonly Difference[], differenceCount: number) {
    this.#memo = new Memo(proof);
    const last = differences.at(-1);
    if (last !== undefined && differenceCount > differences.length) this.#upTo = walkKey(last.mapping, last.path);
  }

  /** Names come in the order of the walk; those that differ are not asked for. */
  has(mapping: number, path: BytePath, signature: string): boolean {
    if (this.#upTo !== undefined && walkKey(mapping, path) > this.#upTo) return false;
    return this.#memo.take(mapping, path, signature) !== undefined;
  }

  close(): void {
    this.#memo.drop();
  }
}
