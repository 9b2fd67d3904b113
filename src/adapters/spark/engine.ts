import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { GodwitError, invariant } from '../../kernel/errors.ts';
import {
  COUNTS_SQL,
  type CompareEngine,
  type CompareInput,
  type CompareSummary,
  comparePartsOf,
  compareSql,
  DifferenceLines,
  type FoundRow,
  MISSING_SQL,
  MissingLines,
} from '../../kernel/remodel/index.ts';
import { jsonRows, listNames, writeText } from './files.ts';
import type { View } from './runner.ts';
import { type SparkOptions, submit } from './submit.ts';

const ALIKE = [['old_rows', 'new_rows']] as const;

/**
 * Compares with Apache Spark, where one machine's memory and disk are outgrown.
 * Each call is one `spark-submit` (its start takes tens of seconds); nothing is
 * kept between calls.
 */
export class SparkCompareEngine implements CompareEngine {
  readonly kind = 'spark';
  readonly #options: SparkOptions;

  constructor(options: SparkOptions = {}) {
    this.#options = options;
  }

  async missing(input: CompareInput, outFile: string, signal: AbortSignal): Promise<number> {
    const views = await viewsOf(input, 0);
    return this.#inWork(async (work) => {
      const out = join(work, 'found');
      await submit(
        { views, alike: ALIKE, queries: [{ sql: MISSING_SQL, sort: 'k', out }] },
        work,
        this.#options,
        signal,
      );
      const lines = new MissingLines();
      return writeText(
        outFile,
        signal,
        textOf(out, signal, ({ k }) => lines.line(k)),
        () => lines.count,
      );
    });
  }

  async compare(input: CompareInput, outFile: string, signal: AbortSignal): Promise<CompareSummary> {
    const width = input.columns.length;
    const views = await viewsOf(input, width);
    return this.#inWork(async (work) => {
      const [counted, out] = [join(work, 'counted'), join(work, 'found')];
      const queries = [
        { sql: COUNTS_SQL, out: counted },
        { sql: compareSql(width), sort: 'k', out },
      ];
      await submit({ views, alike: ALIKE, queries }, work, this.#options, signal);
      const counts = await countsOf(counted, signal);
      const lines = new DifferenceLines(input.columns);
      const text = textOf(out, signal, (row) => lines.line(row as unknown as FoundRow));
      return writeText(outFile, signal, text, () => lines.summary(counts));
    });
  }

  /** Nothing is held between calls. */
  async close(): Promise<void> {}

  /** Runs `job` with a directory that is removed after it. */
  async #inWork<T>(job: (work: string) => Promise<T>): Promise<T> {
    const parent = resolve(this.#options.tempDir ?? tmpdir());
    const work = await makeWork(parent).catch((error: NodeJS.ErrnoException) => {
      throw new GodwitError('GW1009', `${parent} cannot be used for temporary files: ${error.code}`, { cause: error });
    });
    try {
      return await job(work);
    } finally {
      await rm(work, { recursive: true, force: true, maxRetries: 3 });
    }
  }
}

async function makeWork(parent: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  return mkdtemp(join(parent, 'godwit-spark-'));
}

/** The four views that the shared SQL is about, over all parts. */
async function viewsOf(input: CompareInput, columns: number): Promise<readonly View[]> {
  const parts = await comparePartsOf(input, listNames);
  const all = ['k', ...Array.from({ length: columns }, (_, i) => `c${i}`)];
  const files = (name: 'old' | 'new' | 'pending' | 'tombstone') => parts.map((part) => resolve(part[name]));
  return [
    { name: 'old_rows', files: files('old'), columns: all },
    { name: 'new_rows', files: files('new'), columns: all },
    { name: 'pending', files: files('pending'), columns: ['k'] },
    { name: 'tombstone', files: files('tombstone'), columns: ['k'] },
  ];
}

async function* textOf(
  directory: string,
  signal: AbortSignal,
  line: (row: Record<string, unknown>) => string | undefined,
): AsyncGenerator<string> {
  for await (const rows of jsonRows(directory, signal)) {
    const text = rows.map((row) => line(row) ?? '').join('');
    if (text !== '') yield text;
  }
}

async function countsOf(directory: string, signal: AbortSignal) {
  const rows: Record<string, unknown>[] = [];
  for await (const some of jsonRows(directory, signal)) rows.push(...some);
  const [row] = rows;
  invariant(row !== undefined && rows.length === 1, `Spark counted ${rows.length} times`);
  return { oldRows: Number(row['old_rows']), newRows: Number(row['new_rows']), pending: Number(row['pending']) };
}
