/**
 * What the target has, as the source read it: the memory of a copy between its
 * rounds and over restarts. `catalog` is that of the last round, `part` that of
 * the round under way; where both speak of a name, `part` is right.
 */
import { closeSync, existsSync, fsyncSync, openSync, renameSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { Packer } from '../wire/packer.ts';
import { CatalogWriter, packRecord, readCatalog, writeBlock } from './catalog-file.ts';
import { type CatalogRecord, keyOf } from './catalog-record.ts';

const BLOCK = 64 * 1024;

export class Catalog {
  readonly #whole: string;
  readonly #part: string;

  constructor(stateDir: string) {
    this.#whole = join(stateDir, 'catalog');
    this.#part = join(stateDir, 'catalog.part');
  }

  /** Makes one of both, of what the target has carried out up to `done`; a round begins with it. */
  merge(done: number): void {
    if (!existsSync(this.#part)) return;
    const made = `${this.#whole}.new`;
    const fd = openSync(made, 'w', 0o600);
    const packer = new Packer(BLOCK * 2);
    const flush = () => {
      if (packer.length > 0) writeBlock(fd, done, packer.bytes);
      packer.clear();
    };
    for (const record of this.#both(done)) {
      packRecord(packer, record);
      if (packer.length >= BLOCK) flush();
    }
    flush();
    fsyncSync(fd);
    closeSync(fd);
    renameSync(made, this.#whole);
    rmSync(this.#part);
  }

  *#both(done: number): Generator<CatalogRecord, void, void> {
    let last = '';
    for (const record of readCatalog(this.#part, done)) {
      last = keyOf(record);
      yield record;
    }
    for (const record of readCatalog(this.#whole, done)) if (keyOf(record) > last) yield record;
  }

  /** What the target had when the last round ended. */
  read(done: number): CatalogReader {
    return new CatalogReader(readCatalog(this.#whole, done));
  }

  /** The same, to be gone through before. */
  records(done: number): Generator<CatalogRecord, void, void> {
    return readCatalog(this.#whole, done);
  }

  write(): CatalogWriter {
    return new CatalogWriter(this.#part);
  }

  /** The round has ended: what it wrote is the catalog now. */
  finish(): void {
    renameSync(this.#part, this.#whole);
  }
}

/** Reads beside a walk. */
export class CatalogReader {
  readonly #records: Generator<CatalogRecord, void, void>;
  #next: CatalogRecord | undefined;
  #key = '';

  constructor(records: Generator<CatalogRecord, void, void>) {
    this.#records = records;
    this.#advance();
  }

  #advance(): void {
    const step = this.#records.next();
    this.#next = step.done ? undefined : step.value;
    this.#key = this.#next === undefined ? '' : keyOf(this.#next);
  }

  /** The record of this key. Those before it, which the walk did not come by, go to `onGone`. */
  take(key: string, onGone: (record: CatalogRecord) => void): CatalogRecord | undefined {
    while (this.#next !== undefined && this.#key < key) {
      if (this.#next.kind !== 'leave') onGone(this.#next);
      this.#advance();
    }
    let found: CatalogRecord | undefined;
    // A large file has a record for each part that is there: the last one counts.
    while (this.#next !== undefined && this.#key === key) {
      found = this.#next;
      this.#advance();
    }
    return found;
  }

  /** The next record, which stays. */
  get next(): CatalogRecord | undefined {
    return this.#next;
  }

  /** The next record, which goes. */
  skip(): void {
    this.#advance();
  }

  close(): void {
    this.#records.return();
  }
}
