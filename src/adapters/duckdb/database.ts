import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { DuckDBConnection, DuckDBInstance } from '@duckdb/node-api';
import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import { notHere, translate } from './errors.ts';

export interface DuckdbOptions {
  /** Memory of the engine, 10⁶ bytes; what does not fit is spilled to disk. Default 2000. */
  readonly memoryMb?: number;
  /** Default: as many as there are processors. */
  readonly threads?: number;
  /** Where it spills to. Default: the system's directory for temporary files. */
  readonly tempDir?: string;
  /** Called as work goes on, with the share that is done, 0 to 1. */
  readonly onProgress?: (share: number) => void;
}

/** How often a stop is repeated until it is heeded. */
const INTERRUPT_EVERY_MS = 50;

/**
 * A DuckDB of our own, in memory, for one piece of work. It neither loads nor
 * fetches extensions. A set signal stops the statement that runs.
 */
export class Database implements AsyncDisposable {
  readonly #instance: DuckDBInstance;
  readonly #connection: DuckDBConnection;
  readonly #spill: string;
  readonly #signal: AbortSignal;

  private constructor(instance: DuckDBInstance, connection: DuckDBConnection, spill: string, signal: AbortSignal) {
    this.#instance = instance;
    this.#connection = connection;
    this.#spill = spill;
    this.#signal = signal;
  }

  /** Throws GW1008 when there is no DuckDB for this platform. */
  static async open(options: DuckdbOptions, signal: AbortSignal): Promise<Database> {
    throwIfAborted(signal);
    // Only now: who compares in the database needs no binary of DuckDB.
    const { DuckDBInstance } = await import('@duckdb/node-api').catch((error: unknown) => {
      throw notHere(error);
    });
    const parent = options.tempDir ?? tmpdir();
    const spill = await makeSpill(parent).catch((error: NodeJS.ErrnoException) => {
      throw new GodwitError('GW1009', `${parent} cannot be used for temporary files: ${error.code}`, { cause: error });
    });
    try {
      const instance = await DuckDBInstance.create(':memory:', {
        memory_limit: `${options.memoryMb ?? 2000}MB`,
        temp_directory: spill,
        ...(options.threads === undefined ? {} : { threads: String(options.threads) }),
        preserve_insertion_order: 'false',
        autoinstall_known_extensions: 'false',
        autoload_known_extensions: 'false',
      });
      return new Database(instance, await instance.connect(), spill, signal);
    } catch (error) {
      await rm(spill, { recursive: true, force: true });
      throw translate(error, 'Starting DuckDB');
    }
  }

  /** Runs a statement for what it does. */
  async run(sql: string, doing: string): Promise<void> {
    await this.#guarded(doing, () => this.#connection.run(sql));
  }

  /** The rows of a small result: values as JavaScript has them, BIGINT as bigint, BLOB as bytes. */
  async rows(sql: string, doing: string): Promise<Record<string, unknown>[]> {
    const reader = await this.#guarded(doing, () => this.#connection.runAndReadAll(sql));
    return reader.getRowObjectsJS();
  }

  /** The rows of a large result, a few thousand at a time, each as the list of its values. */
  async *stream(sql: string, doing: string): AsyncGenerator<readonly (readonly unknown[])[]> {
    const result = await this.#guarded(doing, () => this.#connection.stream(sql));
    while (true) {
      const chunk = await this.#guarded(doing, () => result.fetchChunk());
      if (chunk === null || chunk.rowCount === 0) return;
      yield chunk.getRows();
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#connection.closeSync();
    this.#instance.closeSync();
    await rm(this.#spill, { recursive: true, force: true });
  }

  async #guarded<T>(doing: string, work: () => Promise<T>): Promise<T> {
    throwIfAborted(this.#signal);
    let timer: NodeJS.Timeout | undefined;
    // Repeated, because one that comes before the statement has begun is forgotten.
    const stop = () => {
      this.#connection.interrupt();
      timer ??= setInterval(() => this.#connection.interrupt(), INTERRUPT_EVERY_MS);
    };
    this.#signal.addEventListener('abort', stop, { once: true });
    try {
      return await work();
    } catch (error) {
      throwIfAborted(this.#signal);
      throw translate(error, doing);
    } finally {
      this.#signal.removeEventListener('abort', stop);
      clearInterval(timer);
    }
  }
}

async function makeSpill(parent: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  return mkdtemp(join(parent, 'godwit-duckdb-'));
}
