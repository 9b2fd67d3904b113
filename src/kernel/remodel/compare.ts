/**
 * The offline comparison: a snapshot as Parquet files, one SQL text, and an
 * engine to run it on. The text is the same for every engine; only the views
 * over the files are made differently.
 */

/**
 * A snapshot on disk. All files are Parquet. A table is one file, or several:
 * the last name of the path then holds one `*` in place of the part. Parts go
 * by a hash of the key, the same for all four tables, and every part is there
 * of each, though it be empty. Columns are text, or BIGINT on both sides; NULL
 * and '' differ.
 */
export interface CompareInput {
  /** Old rows: column `k` (key as text), then `c0`, `c1` … in the order of `columns`. */
  readonly oldFiles: string;
  /** `down` of the new rows, with the same columns. */
  readonly newFiles: string;
  /** Column `k`: identities that are pending or quarantined. */
  readonly pendingFiles: string;
  /** Column `k`: tombstones. */
  readonly tombstoneFiles: string;
  /** Property names behind `c0`, `c1` …. */
  readonly columns: readonly string[];
}

/** Counts of identities; what is pending is in none of the last four. */
export interface CompareSummary {
  readonly oldRows: number;
  readonly newRows: number;
  readonly pending: number;
  readonly missing: number;
  readonly extra: number;
  readonly resurrected: number;
  readonly different: number;
  /** SHA-256 of the SQL texts, hexadecimal: the same from every engine. */
  readonly sql: string;
}

/**
 * Errors: GW1008 the engine is not on this machine, GW1009 it failed or the
 * snapshot is not complete, GW8001 stopped. A file is there only when complete.
 */
export interface CompareEngine {
  readonly kind: 'duckdb' | 'spark';
  /**
   * Writes the identities that the new model lacks to `outFile`: one a line,
   * JSON string literals, sorted by their UTF-8 bytes; the same bytes from every
   * engine. Without those that are pending or have a tombstone. Gives how many.
   */
  missing(input: CompareInput, outFile: string, signal: AbortSignal): Promise<number>;
  /**
   * Compares all columns. `outFile` gets one JSON object a line, sorted by the UTF-8 bytes of
   * the key: `{"k": …, "kind": …, "columns": [names of those that differ]}`, where kind is
   * - `missing`: in the old model, not in the new one;
   * - `resurrected`: the same, and a tombstone says that it was deleted;
   * - `extra`: in the new model, not in the old one;
   * - `different`: in both, with other values.
   */
  compare(input: CompareInput, outFile: string, signal: AbortSignal): Promise<CompareSummary>;
  close(): Promise<void>;
}
