import { once } from 'node:events';
import { createWriteStream, type WriteStream } from 'node:fs';
import { finished } from 'node:stream/promises';

/** Rows kept before they are written. */
const ROWS_AT_ONCE = 500;

/** A CSV file that is written row by row: values quoted, null empty and unquoted. */
export class CsvFile {
  readonly path: string;
  readonly #stream: WriteStream;
  #lines: string[] = [];
  #failure: unknown;

  constructor(path: string, header: readonly string[]) {
    this.path = path;
    this.#stream = createWriteStream(path);
    this.#stream.on('error', (error) => {
      this.#failure = error;
    });
    this.#lines.push(header.join(','));
  }

  add(values: readonly (string | null)[]): Promise<void> | undefined {
    this.#lines.push(values.map(quoted).join(','));
    return this.#lines.length < ROWS_AT_ONCE ? undefined : this.#flush();
  }

  /** Returns when all of it is with the system. */
  async close(): Promise<void> {
    await this.#flush();
    this.#stream.end();
    await finished(this.#stream);
  }

  destroy(): void {
    this.#stream.destroy();
  }

  async #flush(): Promise<void> {
    if (this.#failure !== undefined) throw this.#failure;
    const text = this.#lines.map((line) => `${line}\n`).join('');
    this.#lines = [];
    if (!this.#stream.write(text)) await once(this.#stream, 'drain');
  }
}

function quoted(value: string | null): string {
  return value === null ? '' : `"${value.replaceAll('"', '""')}"`;
}
