import type { Row, Value } from '../../../kernel/remodel/index.ts';

/**
 * Operations of the new model on one identity, on whichever model owns it.
 * Rows that come in are whole and checked (see rows.ts).
 */
export interface Editor {
  /** Whether the identity exists. */
  readonly exists: boolean;
  root(): Promise<Row | undefined>;
  /** Only when it does not exist. */
  create(row: Row): Promise<void>;
  setRoot(patch: Row): Promise<void>;
  list(list: string): Promise<readonly Row[]>;
  /** The id for a row that came without one. */
  newId(list: string): Value;
  put(list: string, row: Row): Promise<void>;
  /** Gives whether it was there. */
  patch(list: string, id: Value, patch: Row): Promise<boolean>;
  remove(list: string, id: Value): Promise<boolean>;
  /** Deletes the identity. Gives whether it was there. */
  deleteAll(): Promise<boolean>;
  /**
   * After the last operation: what the policy forbids is refused, what was held
   * back is written. Gives whether that moved the identity to the new model.
   */
  finish(): Promise<boolean>;
}
