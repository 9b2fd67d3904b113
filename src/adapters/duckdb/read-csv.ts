import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import { endsLine, measureCsv } from './csv-file.ts';
import type { Database } from './database.ts';
import { exactly, literal } from './text.ts';

/** Rows up to this size are read by several threads; with longer ones the files are read again with what the longest needs. */
const USUAL_ROW_BYTES = 16 << 20;
/** DuckDB wants room for more than one row. */
const BUFFER_ROWS = 2;
const DOING = 'Reading exported rows';

export interface CsvSource {
  readonly files: readonly string[];
  /** In the order of the file. */
  readonly columns: readonly string[];
}

/**
 * Runs the COPY that `statementOf` makes around a `read_csv` which takes every
 * value as it is: all columns text, nothing guessed, nothing trimmed, NULL where
 * a field is empty and not quoted. `again` undoes what a failed try left. Gives
 * the number of rows; a file that was cut off is an error (GW1009).
 */
export async function copyCsv(
  database: Database,
  source: CsvSource,
  statementOf: (readCsv: string) => string,
  again: () => Promise<void>,
  signal: AbortSignal,
): Promise<number> {
  for (const file of source.files) if (!(await endsLine(file))) throw cutOff(file);
  try {
    return await copied(database, statementOf(readCsv(source, { parallel: true, rowBytes: USUAL_ROW_BYTES })));
  } catch (error) {
    throwIfAborted(signal);
    if (!(error instanceof GodwitError)) throw error;
    await again();
    return copySlowly(database, source, statementOf, signal);
  }
}

/**
 * For long rows, and for text that looks like rows where a second thread begins
 * to read. A single thread leaves out, without a word, a last row whose quotes
 * do not end: so the rows are counted before.
 */
async function copySlowly(
  database: Database,
  source: CsvSource,
  statementOf: (readCsv: string) => string,
  signal: AbortSignal,
): Promise<number> {
  let [wanted, longest] = [0, 0];
  for (const file of source.files) {
    const measure = await measureCsv(file, signal);
    if (!measure.whole) throw cutOff(file);
    wanted += measure.rows;
    longest = Math.max(longest, measure.longest);
  }
  const rowBytes = Math.max(USUAL_ROW_BYTES, longest + 1);
  const rows = await copied(database, statementOf(readCsv(source, { parallel: false, rowBytes })));
  if (rows !== wanted) throw new GodwitError('GW1009', `${DOING}: ${rows} of ${wanted} rows were read`);
  return rows;
}

async function copied(database: Database, statement: string): Promise<number> {
  const [row] = await database.rows(statement, DOING);
  return Number(row?.['Count']);
}

function cutOff(file: string): GodwitError {
  return new GodwitError('GW1009', `${file} does not end where a row ends: it was cut off`, { details: { file } });
}

function readCsv(
  { files, columns }: CsvSource,
  { parallel, rowBytes }: { readonly parallel: boolean; readonly rowBytes: number },
): string {
  const types = columns.map((name) => `${literal(name)}: 'VARCHAR'`);
  const options = {
    auto_detect: 'false',
    header: 'true',
    columns: `{${types.join(', ')}}`,
    delim: "','",
    quote: `'"'`,
    escape: `'"'`,
    comment: "''",
    new_line: String.raw`'\n'`,
    nullstr: "''",
    allow_quoted_nulls: 'false',
    null_padding: 'false',
    ignore_errors: 'false',
    strict_mode: 'true',
    hive_partitioning: 'false',
    parallel: String(parallel),
    max_line_size: String(rowBytes),
    buffer_size: String(rowBytes * BUFFER_ROWS),
  };
  const list = files.map((file) => literal(exactly(file))).join(', ');
  const said = Object.entries(options).map(([name, value]) => `${name} = ${value}`);
  return `read_csv([${list}], ${said.join(', ')})`;
}
