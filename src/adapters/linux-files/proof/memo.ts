/**
 * What a tree was found to hold, so that a later proof need not read again what
 * stands still since. Of every name whose signature was settled when it was read:
 * the signature and the line. It is no state that anything depends on: without it
 * everything is read.
 */
import { closeSync, openSync, renameSync, rmSync } from 'node:fs';
import type { BytePath } from '../libc/bytes.ts';
import { readBlocks, writeBlock } from '../source/catalog-file.ts';
import { walkKey } from '../source/catalog-record.ts';
import { Packer, type Unpacker } from '../wire/packer.ts';

const BLOCK = 64 * 1024;

interface Known {
  readonly key: string;
  readonly signature: string;
  readonly line: string;
}

/** One proof beside the memory of the one before. Names come in the order of the walk. */
export class Memo {
  readonly #path: string;
  readonly #before: Generator<Known, void, void>;
  readonly #fd: number;
  readonly #packer = new Packer(BLOCK * 2);
  #next: Known | undefined;

  constructor(path: string) {
    this.#path = path;
    this.#before = readKnown(path);
    this.#next = this.#before.next().value ?? undefined;
    this.#fd = openSync(`${path}.new`, 'w', 0o600);
  }

  /** The line of this name as it was, if it cannot have changed since. */
  take(mapping: number, path: BytePath, signature: string): string | undefined {
    const key = walkKey(mapping, path);
    while (this.#next !== undefined && this.#next.key < key) this.#next = this.#before.next().value ?? undefined;
    return this.#next?.key === key && this.#next.signature === signature ? this.#next.line : undefined;
  }

  /** Remembers a line that was read while its signature was settled, or taken from here. */
  add(mapping: number, path: BytePath, signature: string, line: string): void {
    this.#packer.u16(mapping);
    this.#packer.text(path);
    this.#packer.text(signature);
    this.#packer.text(line);
    if (this.#packer.length >= BLOCK) this.#flush();
  }

  /** It is what the next proof begins with. */
  keep(): void {
    this.#flush();
    this.#end();
    renameSync(`${this.#path}.new`, this.#path);
  }

  /** The proof was broken off: what was known before still holds. */
  drop(): void {
    this.#end();
    rmSync(`${this.#path}.new`, { force: true });
  }

  #flush(): void {
    writeBlock(this.#fd, 0, this.#packer.bytes);
    this.#packer.clear();
  }

  #end(): void {
    this.#before.return();
    closeSync(this.#fd);
  }
}

function* readKnown(path: string): Generator<Known, void, void> {
  for (const block of readBlocks(path, 0)) while (!block.done) yield unpack(block);
}

function unpack(from: Unpacker): Known {
  const mapping = from.u16();
  return { key: walkKey(mapping, from.text()), signature: from.text(), line: from.text() };
}
