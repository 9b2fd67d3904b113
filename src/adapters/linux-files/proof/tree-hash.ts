import { createHash, type Hash } from 'node:crypto';
import type { Name } from '../libc/bytes.ts';
import { escapeName, sha256 } from './line.ts';

/**
 * The tree of hashes. Of a name that is no directory: SHA-256 of its line. Of a
 * directory: SHA-256 of its line and a line feed, then, for each name in it in the
 * order of bytes, the escaped name, a blank, its hash and a line feed.
 */
export class TreeHash {
  readonly #open: { readonly name: Name; readonly hash: Hash }[] = [];
  #root = '';

  enter(name: Name, line: string): void {
    this.#open.push({ name, hash: createHash('sha256').update(`${line}\n`) });
  }

  entry(name: Name, line: string): void {
    this.#add(name, sha256(line));
  }

  leave(): void {
    const closed = this.#open.pop();
    if (closed === undefined) return;
    const digest = closed.hash.digest('hex');
    if (this.#open.length === 0) this.#root = digest;
    else this.#add(closed.name, digest);
  }

  /** Of the whole tree, when its root was left. */
  get root(): string {
    return this.#root;
  }

  #add(name: Name, digest: string): void {
    this.#open.at(-1)?.hash.update(`${escapeName(name)} ${digest}\n`);
  }
}
