import { GodwitError, throwIfAborted } from '../../kernel/errors.ts';
import { longestRow } from './csv-file.ts';
import type { Database } from './database.ts';
import { exactly, literal } from './text.ts';

/** Rows up to this size are read at once; with longer ones the files are read again with what the longest needs. */
const USUAL_ROW_BYTES = 16 << 20;
/** DuckDB wants room for more than one row. */
const BUFFER_ROWS = 2;

export interface CsvSource {
  readonly files: readonly string[];
  /** In the order of the file. */
  readonly columns: readonly string[];
}

/**
 * Runs the statement that `statementOf` makes around a `read_csv` which takes
 * every value as it is: all columns text, nothing guessed, nothing trimmed,
 * NULL where a field is empty and not quoted. `again` undoes what a failed try left.
 */
export async function withCsv(
  database: Database,
  source: CsvSource,
  statementOf: (readCsv: string) => string,
  again: () => Promise<void>,
  signal: AbortSignal,
): Promise<void> {
  const doing = 'Reading exported rows';
  try {
    await database.run(statementOf(readCsv(source, USUAL_ROW_BYTES)), doing);
  } catch (error) {
    throwIfAborted(signal);
    if (!(error instanceof GodwitError)) throw error;
    const longest = Math.max(...(await Promise.all(source.files.map((file) => longestRow(file, signal)))));
    if (longest < USUAL_ROW_BYTES) throw error;
    await again();
    await database.run(statementOf(readCsv(source, longest + 1)), doing);
  }
}

function readCsv({ files, columns }: CsvSource, rowBytes: number): string {
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
    // A second reader would have to guess whether it begins within quotes; files are read side by side instead.
    parallel: 'false',
    max_line_size: String(rowBytes),
    buffer_size: String(rowBytes * BUFFER_ROWS),
  };
  const list = files.map((file) => literal(exactly(file))).join(', ');
  const said = Object.entries(options).map(([name, value]) => `${name} = ${value}`);
  return `read_csv([${list}], ${said.join(', ')})`;
}
