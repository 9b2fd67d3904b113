/**
 * Values between JavaScript and BSON, by the type of their column, without
 * loss and without coercion:
 *
 * text ↔ string · integer ↔ int32 · bigint ↔ int64 · numeric ↔ Decimal128 · float ↔ double · boolean ↔ bool ·
 * timestamp ↔ date (milliseconds) · date ↔ string `2026-01-02` · uuid ↔ binary of subtype 4 ·
 * bytes ↔ binary of subtype 0 · json ↔ any value (see json-write.ts)
 *
 * Absent and null are one value, null; it is written by leaving the field out.
 */
import { Binary, Double, Int32, Long, serialize, UUID } from 'bson';
import { type ColumnType, canonicalUuid, type Value } from '../../../kernel/remodel/index.ts';
import { BSON_TYPE as T } from '../bson/types.ts';
import { readInt32 } from '../bson/walk.ts';
import { decimalText, parseDecimal } from './decimal.ts';
import { parseJson, wellFormed } from './json-parse.ts';
import { jsonText, readText } from './json-write.ts';
import { bsonTypeName, mistyped } from './mistyped.ts';
import { checkDay, momentText, parseMoment } from './moment.ts';
import { fieldOf } from './paths.ts';

const UUID_SUBTYPE = 4;

/** A stored value. @throws GodwitError GW5006 when it is of another BSON type than its column. */
export function decodeValue(column: ColumnType, type: number, buf: Buffer, start: number, end: number): Value {
  if (type === T.null) return null;
  if (column === 'json') return jsonText(type, buf, start, end);
  if (type !== STORED_AS[column]) throw mistyped(`a ${bsonTypeName(type)} where the column is ${column}`);
  switch (column) {
    case 'text':
      return readText(buf, start + 4, end - 1);
    case 'date':
      return checkDay(readText(buf, start + 4, end - 1));
    case 'integer':
      return readInt32(buf, start);
    case 'bigint':
      return buf.readBigInt64LE(start);
    case 'numeric':
      return decimalText(buf.subarray(start, end));
    case 'float':
      return buf.readDoubleLE(start);
    case 'boolean':
      return buf[start] === 1;
    case 'timestamp':
      return momentText(buf.readBigInt64LE(start));
    case 'uuid':
      return uuidText(buf, start, end);
    case 'bytes':
      if (buf[start + 4] !== 0) throw mistyped(`a binary of subtype ${buf[start + 4]} where the column is bytes`);
      return new Uint8Array(buf.subarray(start + 5, end));
  }
}

const STORED_AS: Readonly<Record<Exclude<ColumnType, 'json'>, number>> = {
  text: T.string,
  integer: T.int32,
  bigint: T.int64,
  numeric: T.decimal128,
  float: T.double,
  boolean: T.bool,
  timestamp: T.date,
  date: T.string,
  uuid: T.binary,
  bytes: T.binary,
};

function uuidText(buf: Buffer, start: number, end: number): string {
  if (buf[start + 4] !== UUID_SUBTYPE) throw mistyped(`a binary of subtype ${buf[start + 4]} where the column is uuid`);
  const text = canonicalUuid(buf.toString('hex', start + 5, end));
  if (text === undefined) throw mistyped('a uuid that is not 16 bytes long');
  return text;
}

/**
 * A value as the driver writes it; undefined for null, which is not stored.
 * @throws GodwitError GW5006 when the column cannot hold it exactly.
 */
export function encodeValue(column: ColumnType, value: Value): unknown {
  if (value === null) return undefined;
  const wrong = () => mistyped(`a ${typeof value} where the column is ${column}`);
  const string = () => {
    if (typeof value !== 'string') throw wrong();
    return value;
  };
  switch (column) {
    case 'text':
      return wellFormed(string());
    case 'date':
      return checkDay(string());
    case 'integer':
      if (typeof value !== 'number' || (value | 0) !== value || Object.is(value, -0)) throw wrong();
      return new Int32(value);
    case 'bigint':
      if (typeof value !== 'bigint' || BigInt.asIntN(64, value) !== value) throw wrong();
      return Long.fromBigInt(value);
    case 'numeric':
      return parseDecimal(string());
    case 'float':
      if (typeof value !== 'number') throw wrong();
      return new Double(value);
    case 'boolean':
      if (typeof value !== 'boolean') throw wrong();
      return value;
    case 'timestamp':
      return parseMoment(string());
    case 'uuid':
      return new UUID(canonicalUuid(string()) ?? refuse('a uuid that is none'));
    case 'json':
      return parseJson(string()) ?? undefined;
    case 'bytes':
      if (!(value instanceof Uint8Array)) throw wrong();
      return new Binary(Buffer.from(value), 0);
  }
}

function refuse(what: string): never {
  throw mistyped(what);
}

/** A value in the form in which it would come back: `{"a": 1}` as `{"a":1}`. @throws GodwitError GW5006 */
export function storedForm(column: ColumnType, value: Value): Value {
  const encoded = encodeValue(column, value);
  if (encoded === undefined) return null;
  const place = fieldOf(Buffer.from(serialize({ v: encoded })), 0, 'v');
  if (place === undefined) return null;
  return decodeValue(column, place.type, place.buf, place.start, place.end);
}
