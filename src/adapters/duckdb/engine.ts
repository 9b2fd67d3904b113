import {
  COUNTS_SQL,
  type CompareEngine,
  type CompareInput,
  type ComparePart,
  type CompareSummary,
  type CountRow,
  comparePartsOf,
  compareSql,
  DifferenceLines,
  MISSING_SQL,
  MissingLines,
} from '../../kernel/remodel/index.ts';
import { checkTypes } from './check-types.ts';
import { Database, type DuckdbOptions } from './database.ts';
import { listNames, writeText } from './files.ts';
import { columnList, fileList } from './text.ts';

const DOING = 'Comparing the snapshot';

/**
 * Compares with DuckDB in this process, one part of the snapshot after the
 * other, so that memory holds one part and what was found. Keeps nothing
 * between calls, and calls may run at once, each with the memory of the options.
 */
export class DuckdbCompareEngine implements CompareEngine {
  readonly kind = 'duckdb';
  readonly #options: DuckdbOptions;

  constructor(options: DuckdbOptions = {}) {
    this.#options = options;
  }

  async missing(input: CompareInput, outFile: string, signal: AbortSignal): Promise<number> {
    const parts = await comparePartsOf(input, listNames);
    await using database = await Database.open(this.#options, signal);
    await checkTypes(database, parts, 0);
    await database.run('CREATE TABLE found (k VARCHAR)', DOING);
    await this.#eachPart(database, parts, 0, MISSING_SQL);
    const lines = new MissingLines();
    const line = ([k]: readonly unknown[]) => lines.line(k);
    // Awaited here: the database is closed when this function is left.
    return await writeText(outFile, signal, found(database, '', line), () => lines.count);
  }

  async compare(input: CompareInput, outFile: string, signal: AbortSignal): Promise<CompareSummary> {
    const width = input.columns.length;
    const parts = await comparePartsOf(input, listNames);
    await using database = await Database.open(this.#options, signal);
    await checkTypes(database, parts, width);
    await createViews(database, parts, width);
    const counts = await countRows(database);
    await database.run('CREATE TABLE found (k VARCHAR, kind VARCHAR, cols VARCHAR)', DOING);
    await this.#eachPart(database, parts, width, compareSql(width));
    const lines = new DifferenceLines(input.columns);
    const line = ([k, kind, cols]: readonly unknown[]) => lines.line({ k, kind, cols });
    // Awaited here: the database is closed when this function is left.
    return await writeText(outFile, signal, found(database, ', kind, cols', line), () => lines.summary(counts));
  }

  /** Nothing is held between calls. */
  async close(): Promise<void> {}

  async #eachPart(database: Database, parts: readonly ComparePart[], columns: number, sql: string): Promise<void> {
    for (const [i, part] of parts.entries()) {
      await createViews(database, [part], columns);
      await database.run(`INSERT INTO found ${sql}`, DOING);
      this.#options.onProgress?.((i + 1) / parts.length);
    }
  }
}

/** Makes the four views that the shared SQL is about. */
async function createViews(database: Database, parts: readonly ComparePart[], columns: number): Promise<void> {
  const tables = [
    ['old_rows', parts.map((part) => part.old), columns],
    ['new_rows', parts.map((part) => part.new), columns],
    ['pending', parts.map((part) => part.pending), 0],
    ['tombstone', parts.map((part) => part.tombstone), 0],
  ] as const;
  for (const [name, files, width] of tables) {
    const from = `read_parquet(${fileList(files)}, hive_partitioning = false)`;
    const select = `SELECT ${columnList(width).join(', ')} FROM ${from}`;
    await database.run(`CREATE OR REPLACE TEMP VIEW ${name} AS ${select}`, DOING);
  }
}

async function countRows(database: Database): Promise<CountRow> {
  const [row = {}] = await database.rows(COUNTS_SQL, DOING);
  return { oldRows: Number(row['old_rows']), newRows: Number(row['new_rows']), pending: Number(row['pending']) };
}

/**
 * What was found, sorted, as text. Without a collation DuckDB orders text by its
 * bytes. Keys come as bytes: the client's text decoder takes a byte order mark off.
 */
async function* found(
  database: Database,
  more: string,
  line: (row: readonly unknown[]) => string | undefined,
): AsyncGenerator<string> {
  const sql = `SELECT encode(found.k)${more} FROM found ORDER BY found.k`;
  for await (const rows of database.stream(sql, DOING)) {
    let text = '';
    for (const [k, ...others] of rows) text += line([textOf(k), ...others]) ?? '';
    if (text !== '') yield text;
  }
}

function textOf(blob: unknown): string | null {
  if (blob === null) return null;
  const { bytes } = blob as { readonly bytes: Uint8Array };
  return Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('utf8');
}
