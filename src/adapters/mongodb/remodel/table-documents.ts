import type { Document } from 'mongodb';
import { GodwitError } from '../../../kernel/errors.ts';
import {
  type Column,
  type Identity,
  keyOfIdentity,
  type Model,
  type Row,
  type Table,
  type Value,
} from '../../../kernel/remodel/index.ts';
import { nestedDocument, type PathNode, pathTree, planUpdate } from './path-tree.ts';
import { valueAt } from './paths.ts';
import { decodeValue, encodeValue, storedForm } from './values.ts';

export interface Field {
  readonly property: string;
  readonly column: Column<Value, boolean>;
  readonly path: string;
  readonly segments: readonly string[];
}

/** `$set` and `$unset` of one update, which name no field outside of the model. */
export interface Changes {
  readonly $set?: Document;
  readonly $unset?: Document;
}

/** Rows of one table between the model and the documents of its collection. */
export class TableDocuments {
  readonly name: string;
  readonly fields: readonly Field[];
  readonly keyPath: string;
  /** Undefined where an identity has one document. */
  readonly idPath: string | undefined;
  /** Only the model's fields, and `_id`. */
  readonly projection: Document;
  readonly #model: Model;
  readonly #byProperty: ReadonlyMap<string, Field>;
  readonly #tree: PathNode;

  constructor(model: Model, table: Table) {
    this.name = table.name;
    this.#model = model;
    this.fields = Object.entries(table.columns).map(([property, column]) => {
      const path = column.storedAs ?? property;
      return { property, column, path, segments: path.split('.') };
    });
    this.#byProperty = new Map(this.fields.map((field) => [field.property, field]));
    this.keyPath = this.field(model.key).path;
    this.idPath = table.id === undefined ? undefined : this.field(table.id).path;
    this.projection = Object.fromEntries(this.fields.map(({ path }) => [path, 1]));
    this.#tree = pathTree(model.name, this.fields);
  }

  field(property: string): Field {
    const field = this.#byProperty.get(property);
    if (field === undefined) throw new GodwitError('GW5008', `${this.name} has no column ${property}`);
    return field;
  }

  /** All documents of an identity. */
  ofIdentity(identity: Identity): Document {
    return { [this.keyPath]: this.keyValue(identity) };
  }

  /** An identity's key as it is stored. */
  keyValue(identity: Identity): unknown {
    return encodeValue(this.field(this.#model.key).column.type, keyOfIdentity(this.#model, identity));
  }

  /** One document of an identity: of a list, the one with this id. */
  one(identity: Identity, id: Value | undefined): Document {
    if (this.idPath === undefined) return this.ofIdentity(identity);
    return { ...this.ofIdentity(identity), [this.idPath]: this.idValue(id ?? null) };
  }

  idValue(id: Value): unknown {
    return encodeValue(this.#idField().column.type, id);
  }

  idOf(row: Row): Value {
    return row[this.#idField().property] ?? null;
  }

  /** @throws GodwitError GW5006 that names the field whose type is not its column's. */
  decode(raw: Buffer): Row {
    const row: Row = {};
    for (const field of this.fields) row[field.property] = this.#decodeField(raw, field);
    return row;
  }

  /** Only one column. */
  decodeOne(raw: Buffer, property: string): Value {
    return this.#decodeField(raw, this.field(property));
  }

  /** The identity that a document is of. @throws GodwitError GW5006 */
  identityOf(raw: Buffer): Identity {
    return String(this.decodeOne(raw, this.#model.key));
  }

  /** The document that a row is stored as, without fields for null. @throws GodwitError GW5006 */
  document(row: Row): Document {
    this.#checkKnown(row);
    const encoded = new Map<Field, unknown>();
    for (const field of this.fields) encoded.set(field, this.#encodeField(field, row[field.property] ?? null));
    return Object.fromEntries(nestedDocument(this.#tree, encoded));
  }

  /**
   * What turns the stored document into the row: nothing but the fields that
   * differ, so that whatever else the document has stays as it is. Columns that
   * `row` leaves out stay too. Undefined when nothing differs.
   */
  changes(raw: Buffer, row: Row): Changes | undefined {
    this.#checkKnown(row);
    const encoded = new Map<Field, unknown>();
    for (const field of this.fields) {
      const value = row[field.property];
      if (value !== undefined && !this.#stands(raw, field, value)) encoded.set(field, this.#encodeField(field, value));
    }
    return encoded.size === 0 ? undefined : planUpdate(this.#tree, raw, encoded);
  }

  /** Columns whose stored values are not of their types. */
  unreadable(raw: Buffer): string[] {
    return this.fields.filter((field) => !this.#isReadable(raw, field)).map(({ property }) => property);
  }

  /** Columns in which two rows differ as this table would store them. */
  differing(a: Row, b: Row): string[] {
    return this.fields
      .filter(({ property, column }) => !isSame(column, a[property] ?? null, b[property] ?? null))
      .map(({ property }) => property);
  }

  /** Whether the field holds this value already. What cannot be read does not. */
  #stands(raw: Buffer, field: Field, value: Value): boolean {
    try {
      return sameValue(field.column, this.#decodeField(raw, { ...field, column: field.column.nullable() }), value);
    } catch (error) {
      if (error instanceof GodwitError && error.code === 'GW5006') return false;
      throw error;
    }
  }

  #isReadable(raw: Buffer, field: Field): boolean {
    try {
      this.#decodeField(raw, field);
      return true;
    } catch (error) {
      if (error instanceof GodwitError && error.code === 'GW5006') return false;
      throw error;
    }
  }

  #decodeField(raw: Buffer, field: Field): Value {
    const place = valueAt(raw, field.segments);
    try {
      if (place === 'broken') throw new GodwitError('GW5006', 'not in a document');
      const value =
        place === undefined ? null : decodeValue(field.column.type, place.type, place.buf, place.start, place.end);
      if (value === null && !field.column.isNullable) throw new GodwitError('GW5006', 'no value where one is needed');
      return value;
    } catch (error) {
      throw this.#named(error, field);
    }
  }

  #encodeField(field: Field, value: Value): unknown {
    try {
      const encoded = encodeValue(field.column.type, value);
      if (encoded === undefined && !field.column.isNullable)
        throw new GodwitError('GW5006', 'no value where one is needed');
      return encoded;
    } catch (error) {
      throw this.#named(error, field);
    }
  }

  #named(error: unknown, field: Field): unknown {
    if (!(error instanceof GodwitError) || error.code !== 'GW5006') return error;
    return new GodwitError('GW5006', `${this.name}, ${field.path}: ${error.message}`, {
      details: { collection: this.name, field: field.path },
    });
  }

  #checkKnown(row: Row): void {
    for (const property of Object.keys(row)) this.field(property);
  }

  #idField(): Field {
    const field = this.fields.find(({ path }) => path === this.idPath);
    if (field === undefined) throw new GodwitError('GW5008', `${this.name} is no list`);
    return field;
  }
}

/** Values that the column cannot hold are the same as none. */
function isSame(column: Column<Value, boolean>, a: Value, b: Value): boolean {
  try {
    return sameValue(column, a, b);
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'GW5006') return false;
    throw error;
  }
}

/** Whether two values are stored alike: `1.50` and `1.5` are not, `{"a": 1}` and `{"a":1}` are. */
function sameValue({ type }: Column<Value, boolean>, a: Value, b: Value): boolean {
  if (Object.is(a, b)) return true;
  if (a instanceof Uint8Array && b instanceof Uint8Array) return Buffer.compare(a, b) === 0;
  const mayDiffer = (value: Value) => value === null || typeof value === 'string';
  if (type === 'text' || !mayDiffer(a) || !mayDiffer(b)) return false;
  return storedForm(type, a) === storedForm(type, b);
}
