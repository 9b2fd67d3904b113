/**
 * A large file that is being written. Its pieces go to the kernel from other threads, while the next ones are
 * taken from the line: copying them into the page cache is most of the work.
 */
import { closeSync, write, writeSync } from 'node:fs';

/** Smaller ones are written at once: handing them over would cost more. */
const ASIDE = 64 * 1024;

/** Pieces that are on their way to the kernel, of whatever file. */
export class Writes {
  readonly #pending = new Set<Promise<void>>();
  #fault: unknown;

  get areOver(): boolean {
    return this.#pending.size === 0 && this.#fault === undefined;
  }

  add(writing: Promise<void>): void {
    const noted = writing
      .catch((error: unknown) => {
        this.#fault ??= error;
      })
      .finally(() => this.#pending.delete(noted));
    this.#pending.add(noted);
  }

  /** Until those that are on their way by now are done. @throws what the first that failed did */
  async settle(): Promise<void> {
    await Promise.all([...this.#pending]);
    if (this.#fault !== undefined) throw this.#fault;
  }
}

export class OpenFile {
  readonly fd: number;
  #pending = 0;
  #isClosing = false;

  constructor(fd: number) {
    this.fd = fd;
  }

  /** `content` stays as it is until `writes` has settled. */
  write(offset: number, content: Buffer, writes: Writes): void {
    if (content.length < ASIDE) writeAll(this.fd, offset, content);
    else writes.add(this.#aside(offset, content));
  }

  /** Once nothing is on its way: the number of a closed descriptor may soon be that of another file. */
  close(): void {
    this.#isClosing = true;
    if (this.#pending === 0) closeSync(this.fd);
  }

  async #aside(offset: number, content: Buffer): Promise<void> {
    this.#pending += 1;
    try {
      for (let at = 0; at < content.length; ) at += await writeSome(this.fd, content.subarray(at), offset + at);
    } finally {
      this.#pending -= 1;
      if (this.#isClosing && this.#pending === 0) closeSync(this.fd);
    }
  }
}

function writeSome(fd: number, content: Buffer, offset: number): Promise<number> {
  return new Promise((resolve, reject) => {
    write(fd, content, 0, content.length, offset, (error, written) => (error ? reject(error) : resolve(written)));
  });
}

export function writeAll(fd: number, offset: number, content: Buffer): void {
  for (let at = 0; at < content.length; ) at += writeSync(fd, content, at, content.length - at, offset + at);
}
