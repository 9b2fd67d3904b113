/** Rows of a snapshot as the model has them, and an old row of the model as the snapshot has it. */
import type { ColumnType, Row, State, Value } from '../../../kernel/remodel/index.ts';
import { type Fields, rowFrom } from './snapshot-rows.ts';
import type { SqlModel, SqlTable } from './tables.ts';

/** The state of one identity, of its rows in the order of `SqlModel.all`. */
export function stateFrom(tables: SqlModel, rows: readonly (readonly Fields[])[]): State {
  const state: Record<string, readonly Row[]> = {};
  for (let i = 0; i < tables.all.length; i += 1) {
    const table = tables.all[i] as SqlTable;
    state[table.as] = (rows[i] as readonly Fields[]).map((fields) => rowFrom(table, fields));
  }
  return state;
}

/** A value in the text that `readExpression` gives for it. */
export function readForm(value: Value | undefined, type: ColumnType): string | null {
  if (value === null || value === undefined) return null;
  switch (type) {
    case 'bytes':
      return Buffer.from(value as Uint8Array).toString('hex');
    case 'float':
      return floatHex(value as number);
    case 'timestamp':
      return (value as string).replace('Z', '');
    default:
      return String(value);
  }
}

const FLOAT = Buffer.alloc(8);

function floatHex(value: number): string {
  FLOAT.writeDoubleBE(value);
  return FLOAT.toString('hex');
}
