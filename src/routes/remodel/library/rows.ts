import { GodwitError } from '../../../kernel/errors.ts';
import {
  type Column,
  canonicalUuid,
  type Model,
  type Row,
  type Table,
  type Value,
} from '../../../kernel/remodel/index.ts';

/** Why a value does not fit its column, and how the message calls the call it came with. */
export function misuse(model: Model, what: string): GodwitError {
  return new GodwitError('GW5008', `Remodel ${model.name}: ${what}`);
}

/** A row that came from the application, made whole: key and id filled in, what may be null set to null. */
export function wholeRow(model: Model, as: string, row: Row, filled: Row): Row {
  const table = model.to[as] as Table;
  checkProperties(model, as, row, filled);
  const out: Row = {};
  for (const [property, column] of Object.entries(table.columns)) {
    const value = row[property] ?? filled[property] ?? null;
    if (value === null && !column.isNullable) throw misuse(model, `a row of ${as} lacks ${property}`);
    out[property] = checked(model, as, property, column, value);
  }
  return out;
}

/** A change that came from the application, checked; `undefined` leaves a column as it is. */
export function checkedPatch(model: Model, as: string, patch: Row): Row {
  const table = model.to[as] as Table;
  const out: Row = {};
  for (const [property, value] of Object.entries(patch)) {
    if (value === undefined) continue;
    const column = table.columns[property];
    if (column === undefined) throw misuse(model, `${as} has no column ${property}`);
    if (property === model.key || property === table.id)
      throw misuse(model, `${property} tells the rows of ${as} apart and cannot be changed: delete and insert`);
    if (value === null && !column.isNullable) throw misuse(model, `${property} of ${as} may not be null`);
    out[property] = checked(model, as, property, column, value);
  }
  return out;
}

/** The id of a row in the form in which ids are compared. */
export function checkedId(model: Model, as: string, id: Value): Value {
  const table = model.to[as] as Table;
  const property = table.id as string;
  if (id === null || id === undefined) throw misuse(model, `${as} needs the ${property} of the row`);
  return checked(model, as, property, table.columns[property] as Column<Value, boolean>, id);
}

function checkProperties(model: Model, as: string, row: Row, filled: Row): void {
  const columns = (model.to[as] as Table).columns;
  for (const [property, value] of Object.entries(row)) {
    if (!(property in columns)) throw misuse(model, `${as} has no column ${property}`);
    if (property === model.key && value !== undefined && value !== filled[property])
      throw misuse(model, `a row of ${as} has another ${property} than the identity that is written`);
  }
}

function checked(model: Model, as: string, property: string, column: Column<Value, boolean>, value: Value): Value {
  if (value === null) return value;
  if (!fits(column, value))
    throw misuse(model, `${property} of ${as} is ${column.type}, and was given ${describe(value)}`);
  if (column.type !== 'uuid') return value;
  const id = canonicalUuid(value as string);
  if (id === undefined) throw misuse(model, `${property} of ${as} was given what is no UUID`);
  return id;
}

function fits(column: Column<Value, boolean>, value: Value): boolean {
  switch (column.type) {
    case 'integer':
      return typeof value === 'number' && value === Math.trunc(value) && value >= -(2 ** 31) && value < 2 ** 31;
    case 'bigint':
      return typeof value === 'bigint' && BigInt.asIntN(64, value) === value;
    case 'float':
      return typeof value === 'number';
    case 'boolean':
      return typeof value === 'boolean';
    case 'bytes':
      return value instanceof Uint8Array;
    default:
      return typeof value === 'string';
  }
}

/** Its type, never its content. */
function describe(value: unknown): string {
  if (typeof value === 'object') return value?.constructor?.name ?? 'an object';
  return `a ${typeof value}`;
}
