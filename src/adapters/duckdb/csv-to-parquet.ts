import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GodwitError, invariant } from '../../kernel/errors.ts';
import { type CompareInput, type ExportedSnapshot, filesOf } from '../../kernel/remodel/index.ts';
import { headerOf } from './csv-file.ts';
import { Database, type DuckdbOptions } from './database.ts';
import { listNames } from './files.ts';
import { copyCsv } from './read-csv.ts';
import { columnList, literal } from './text.ts';

/** So much CSV makes a part: the join of one then fits into memory beside all else. */
const PART_BYTES = 160e6;
const MOST_PARTS = 256;
const PARQUET = 'FORMAT parquet, COMPRESSION zstd';

export interface SnapshotOptions extends DuckdbOptions {
  /** Into how many parts each table is split. Default: by the size of the files. */
  readonly parts?: number;
}

interface Table {
  readonly name: string;
  readonly files: readonly string[];
  readonly columns: readonly string[];
  /** As many there must be; undefined where nobody counted. */
  readonly rows: number | undefined;
}

/**
 * Turns an exported snapshot, CSV as PostgreSQL's COPY writes it, into the
 * Parquet files (zstd) that engines compare, in `outDir`, split by a hash of
 * the key. Every column is text, taken over byte for byte: NULL is an empty
 * field without quotes, '' one with them, and nothing else is NULL.
 *
 * Each path of the snapshot may hold one `*` in its last name. A header that is
 * not `k,c0,c1,…`, a row with more or fewer fields, a file that was cut off, or
 * another number of rows than `snapshot.rows` says, is an error (GW1009).
 */
export async function csvToParquet(
  snapshot: ExportedSnapshot,
  outDir: string,
  options: SnapshotOptions,
  signal: AbortSignal,
): Promise<CompareInput> {
  const tables = await tablesOf(snapshot);
  const parts = options.parts ?? (await partsFor(tables));
  await using database = await Database.open({ ...options, tempDir: options.tempDir ?? outDir }, signal);
  for (const [i, table] of tables.entries()) {
    await writeTable(database, table, outDir, parts, signal);
    options.onProgress?.((i + 1) / tables.length);
  }
  const pattern = (name: string) => join(outDir, `${name}-*.parquet`);
  return {
    oldFiles: pattern('old'),
    newFiles: pattern('new'),
    pendingFiles: pattern('pending'),
    tombstoneFiles: pattern('tombstone'),
    columns: snapshot.columns,
  };
}

/**
 * Turns an archive of a table, CSV with its own column names, into one Parquet
 * file (zstd) of text columns. The file gets its name only when it is complete.
 */
export async function archiveToParquet(
  csvFile: string,
  outFile: string,
  options: DuckdbOptions,
  signal: AbortSignal,
): Promise<void> {
  const source = { files: [csvFile], columns: await headerOf(csvFile) };
  const unfinished = `${outFile}.unfinished`;
  await using database = await Database.open(options, signal);
  try {
    const statement = (readCsv: string) => `COPY (FROM ${readCsv}) TO ${literal(unfinished)} (${PARQUET})`;
    await copyCsv(database, source, statement, async () => {}, signal);
    await rename(unfinished, outFile);
  } finally {
    await rm(unfinished, { force: true });
  }
}

async function tablesOf(snapshot: ExportedSnapshot): Promise<readonly Table[]> {
  const described = [
    ['old', snapshot.oldFile, snapshot.columns.length],
    ['new', snapshot.newFile, snapshot.columns.length],
    ['pending', snapshot.pendingFile, 0],
    ['tombstone', snapshot.tombstoneFile, 0],
  ] as const;
  return Promise.all(
    described.map(async ([name, pattern, width]) => {
      const files = await filesOf(pattern, listNames);
      const columns = columnList(width);
      for (const file of files) {
        if ((await headerOf(file)).join() === columns.join()) continue;
        throw new GodwitError('GW1009', `${file} does not begin with the header ${columns.join()}`);
      }
      return { name, files, columns, rows: snapshot.rows?.[name] };
    }),
  );
}

/** As many parts for each table: rows of one identity must lie in the same. */
async function partsFor(tables: readonly Table[]): Promise<number> {
  const sizes = await Promise.all(tables.flatMap(({ files }) => files).map(async (file) => (await stat(file)).size));
  const bytes = sizes.reduce((sum, size) => sum + size, 0);
  return Math.min(MOST_PARTS, Math.max(1, Math.ceil(bytes / PART_BYTES)));
}

async function writeTable(
  database: Database,
  table: Table,
  outDir: string,
  parts: number,
  signal: AbortSignal,
): Promise<void> {
  const stage = join(outDir, `${table.name}.unfinished`);
  const clean = () => rm(stage, { recursive: true, force: true });
  await clean();
  await mkdir(outDir, { recursive: true });
  try {
    await database.run(`SET partitioned_write_max_open_files = ${MOST_PARTS + 1}`, 'Starting DuckDB');
    const statement = (readCsv: string) =>
      `COPY (SELECT *, hash(k) % ${parts} AS part FROM ${readCsv}) TO ${literal(stage)} (${PARQUET}, PARTITION_BY (part))`;
    const rows = await copyCsv(database, table, statement, clean, signal);
    if (table.rows !== undefined && rows !== table.rows) {
      throw new GodwitError('GW1009', `Of ${table.rows} exported rows (${table.name}) ${rows} were read`);
    }
    for (let part = 0; part < parts; part += 1) {
      await namePart(database, table, join(stage, `part=${part}`), join(outDir, `${table.name}-${part}.parquet`));
    }
  } finally {
    await clean();
  }
}

/** Gives a part its name; one without rows was not written and is made here. */
async function namePart(database: Database, table: Table, written: string, file: string): Promise<void> {
  const [first, ...more] = await listNames(written);
  invariant(more.length === 0, `a part of the snapshot was written to ${more.length + 1} files`);
  if (first !== undefined) return rename(join(written, first), file);
  const none = table.columns.map((name) => `NULL::VARCHAR AS ${name}`).join(', ');
  await database.run(`COPY (SELECT ${none} WHERE false) TO ${literal(file)} (${PARQUET})`, 'Writing an empty part');
}
