/**
 * A place in a source's ordered log of changes.
 *
 * A position is opaque to everyone but the adapter that made it. The one
 * promise is that string order is log order: `a < b` means a comes first.
 * That lets every store and every loop compare positions without knowing
 * whether they are an oplog timestamp, an LSN or a binlog coordinate.
 */
export type Position = string & { readonly __position: unique symbol };

/** The position before every other one. */
export const POSITION_ZERO = '' as Position;

/** The later of two positions. */
export function laterOf(a: Position, b: Position): Position {
  return a < b ? b : a;
}

/** The earlier of two positions. */
export function earlierOf(a: Position, b: Position): Position {
  return a < b ? a : b;
}
