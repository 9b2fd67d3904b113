/**
 * Columns of the tables that a remodel reads and writes. A value in JavaScript
 * is lossless: where JavaScript has no type that holds every value of the
 * store, it is text in one canonical form.
 *
 * | type        | in JavaScript | form |
 * |-------------|---------------|------|
 * | `text`      | string        | as it is |
 * | `integer`   | number        | 32 bits |
 * | `bigint`    | bigint        | 64 bits |
 * | `numeric`   | string        | decimal digits with the stored scale; `NaN`, `Infinity`, `-Infinity` |
 * | `float`     | number        | 64 bits, with `NaN`, infinities and `-0` |
 * | `boolean`   | boolean       | |
 * | `timestamp` | string        | a moment: `2026-01-02T03:04:05.000006Z`, fraction without trailing zeros; `infinity`, `-infinity` |
 * | `date`      | string        | `2026-01-02`; `infinity`, `-infinity` |
 * | `uuid`      | string        | lower case with hyphens |
 * | `json`      | string        | the store's own text of the value: parse it where its numbers fit |
 * | `bytes`     | Uint8Array    | |
 */
export type ColumnType =
  | 'text'
  | 'integer'
  | 'bigint'
  | 'numeric'
  | 'float'
  | 'boolean'
  | 'timestamp'
  | 'date'
  | 'uuid'
  | 'json'
  | 'bytes';

/** A value of a column, as in the table above. */
export type Value = string | number | bigint | boolean | Uint8Array | null;

/** A row by property name. */
export type Row = Record<string, Value>;

/** One column: made by {@link text} and its like, refined by its methods. */
export class Column<T extends Value, Nullable extends boolean = false> {
  readonly type: ColumnType;
  readonly isNullable: boolean;
  /** Name in the store; a dotted path of a MongoDB document. Undefined: the property's name, in snake case for SQL. */
  readonly storedAs: string | undefined;
  /** Only for the type checker: the value a row has here. */
  declare readonly value: Nullable extends true ? T | null : T;

  constructor(type: ColumnType, isNullable: boolean, storedAs: string | undefined) {
    this.type = type;
    this.isNullable = isNullable;
    this.storedAs = storedAs;
  }

  /** The column may be null. */
  nullable(): Column<T, true> {
    return new Column<T, true>(this.type, true, this.storedAs);
  }

  /** Its name in the store, where that is not the property's name in snake case. */
  named(storedAs: string): Column<T, Nullable> {
    return new Column<T, Nullable>(this.type, this.isNullable, storedAs);
  }
}

/** Columns by property name. */
export type Columns = Readonly<Record<string, Column<Value, boolean>>>;

/** The row type of columns. */
export type RowOf<C extends Columns> = { [K in keyof C]: C[K]['value'] };

export const text = (): Column<string> => new Column('text', false, undefined);
export const integer = (): Column<number> => new Column('integer', false, undefined);
export const bigint = (): Column<bigint> => new Column('bigint', false, undefined);
export const numeric = (): Column<string> => new Column('numeric', false, undefined);
export const float = (): Column<number> => new Column('float', false, undefined);
export const boolean = (): Column<boolean> => new Column('boolean', false, undefined);
export const timestamp = (): Column<string> => new Column('timestamp', false, undefined);
export const date = (): Column<string> => new Column('date', false, undefined);
export const uuid = (): Column<string> => new Column('uuid', false, undefined);
export const json = (): Column<string> => new Column('json', false, undefined);
export const bytes = (): Column<Uint8Array> => new Column('bytes', false, undefined);
