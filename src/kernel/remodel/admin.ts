import type { ColumnType, Row } from './column.ts';
import type { Model, State } from './model.ts';
import type { CompareOptions, Identity } from './store.ts';

/** An identity that a transform or the store refused, and why. */
export interface Quarantined {
  readonly identity: Identity;
  readonly reason: string;
  /** ISO 8601. */
  readonly at: string;
}

/** Files that a snapshot was written to, for a comparison outside of the database. */
export interface ExportedSnapshot {
  /** Names the snapshot all of it was read in. */
  readonly snapshot: string;
  readonly oldFile: string;
  readonly newFile: string;
  readonly pendingFile: string;
  readonly tombstoneFile: string;
  /** Property names behind `c0`, `c1` …. */
  readonly columns: readonly string[];
  /** Rows that were written of each, where the store counted them: what is read from the files is held against it. */
  readonly rows?: { readonly old: number; readonly new: number; readonly pending: number; readonly tombstone: number };
}

/** What the commands ask of a store beside the protocol itself. */
export interface RemodelAdmin {
  /**
   * Identities of the old table that the new model lacks, tombstones and
   * quarantine left out, as they are in one snapshot: in batches, without a
   * lock, and without loading all of them.
   */
  missing(model: Model, batch: number, signal: AbortSignal): AsyncIterable<readonly Identity[]>;
  /** Some rows of the old table, from all over it. */
  sample(model: Model, limit: number): Promise<readonly Row[]>;
  /** What the definition's SQL makes of old rows, in their order; nothing is stored. Undefined where the store runs none. */
  sqlUp(model: Model, rows: readonly Row[]): Promise<readonly State[]> | undefined;
  quarantine(model: Model, limit: number): Promise<readonly Quarantined[]>;
  /** Lets everything in quarantine be tried again. Gives how many. */
  retryQuarantine(model: Model): Promise<number>;
  /** Sessions that wait for a lock on one of the tables. */
  lockWaits(model: Model): Promise<number>;
  /** Writes an audit row without changing control. */
  note(model: Model, event: string, data: Record<string, unknown>): Promise<void>;
  /**
   * Writes a snapshot to CSV files in a folder: header `k,c0,c1,…`; values
   * quoted, NULL unquoted and empty. Without `byValue` only keys.
   */
  exportSnapshot(model: Model, folder: string, options: CompareOptions): Promise<ExportedSnapshot>;
  /** Writes the whole old table to a CSV file with its own column names. Gives the number of rows. */
  archive(model: Model, file: string, signal: AbortSignal): Promise<number>;
}

/** A column of a table as the database has it, for a definition to begin from. */
export interface DescribedColumn {
  readonly storedAs: string;
  /** Undefined: no column type of a definition holds it without loss. */
  readonly type: ColumnType | undefined;
  /** As the database calls it. */
  readonly storedType: string;
  readonly isNullable: boolean;
  /** Part of the primary key. */
  readonly isKey: boolean;
}
