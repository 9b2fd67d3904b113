/**
 * The offline comparison: a snapshot as Parquet files, one SQL text, and an
 * engine to run it on. The text is the same for every engine; only the views
 * over the files are made differently.
 */

/** A snapshot on disk. All files are Parquet, split by a hash of the key. */
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

export interface CompareSummary {
  readonly oldRows: number;
  readonly newRows: number;
  readonly pending: number;
  readonly missing: number;
  readonly extra: number;
  readonly resurrected: number;
  readonly different: number;
  /** SHA-256 of the SQL texts, hexadecimal. */
  readonly sql: string;
}

export interface CompareEngine {
  readonly kind: 'duckdb' | 'spark';
  /**
   * Writes the identities that the new model lacks to `outFile`: one a line,
   * JSON string literals, sorted by their UTF-8 bytes; the same bytes from every engine.
   */
  missing(input: CompareInput, outFile: string, signal: AbortSignal): Promise<number>;
  /**
   * Compares all columns. `outFile` gets one JSON object a line, sorted by key:
   * `{"k": …, "kind": "missing|extra|resurrected|different", "columns": [names]}`.
   */
  compare(input: CompareInput, outFile: string, signal: AbortSignal): Promise<CompareSummary>;
  close(): Promise<void>;
}
