import {
  Binary,
  BSONRegExp,
  Code,
  type Decimal128,
  Double,
  Int32,
  Long,
  MaxKey,
  MinKey,
  ObjectId,
  Timestamp,
  UUID,
} from 'bson';
import { parseDecimal } from './decimal.ts';
import { type Json, readJson } from './json-syntax.ts';
import { WRAPPERS } from './json-write.ts';
import { mistyped } from './mistyped.ts';

/**
 * Extended JSON, canonical or relaxed, as what the driver writes: documents
 * are Maps, because objects do not keep the order of names that are numbers.
 * A plain number is a 32-bit integer, else a 64-bit one, where it is written
 * without point and exponent; a double otherwise.
 * @throws GodwitError GW5006 for what is no such JSON.
 */
export function parseJson(text: string): unknown {
  return toBson(readJson(text));
}

function toBson(json: Json): unknown {
  if (json === null || typeof json === 'boolean') return json;
  if (typeof json === 'string') return wellFormed(json);
  if (Array.isArray(json)) return (json as readonly Json[]).map(toBson);
  const node = json as Exclude<Json, string | boolean | null | readonly Json[]>;
  if (node.kind === 'number') return numberOf(node.text);
  const [first] = node.fields;
  if (first !== undefined && WRAPPERS.has(first[0])) return unwrap(node.fields);
  const document = new Map<string, unknown>();
  for (const [name, value] of node.fields) {
    if (document.has(name)) throw mistyped('a json value that has a field twice');
    if (name.includes('\0')) throw mistyped('a json value with a NUL in the name of a field');
    document.set(wellFormed(name), toBson(value));
  }
  return document;
}

/** Half a surrogate pair is no character, and would be stored as another. */
export function wellFormed(text: string): string {
  if (/\p{Surrogate}/u.test(text)) throw mistyped('a string with half a surrogate pair');
  return text;
}

function numberOf(text: string): unknown {
  if (/[.eE]/.test(text) || text === '-0') return double(Number(text));
  const value = BigInt(text);
  if (value >= -(2n ** 31n) && value < 2n ** 31n) return new Int32(Number(value));
  if (value >= -(2n ** 63n) && value < 2n ** 63n) return Long.fromBigInt(value);
  if (BigInt(Number(text)) !== value) throw mistyped('an integer in json that neither 64 bits nor a double hold');
  return double(Number(text));
}

function double(value: number): Double {
  if (!Number.isFinite(value)) throw mistyped('a number in json that a double does not hold');
  return new Double(value);
}

type Fields = readonly (readonly [string, Json])[];

function unwrap(fields: Fields): unknown {
  const [name, value] = fields[0] as readonly [string, Json];
  if (fields.length !== 1) throw mistyped(`extended json: ${name} with other fields beside it`);
  const wrong = () => mistyped(`extended json: ${name} with a value of another form`);
  const inner = (): Map<string, Json> => {
    if (value === null || typeof value !== 'object' || Array.isArray(value) || !('kind' in value)) throw wrong();
    if (value.kind !== 'object') throw wrong();
    return new Map(value.fields);
  };
  const string = (json: Json | undefined = value, form = /^[\s\S]*$/): string => {
    if (typeof json !== 'string' || !form.test(json)) throw wrong();
    return json;
  };
  const uint = (json: Json | undefined): number => {
    const text = json !== null && typeof json === 'object' && 'kind' in json && json.kind === 'number' ? json.text : '';
    if (!/^\d{1,10}$/.test(text) || Number(text) > 0xffff_ffff) throw wrong();
    return Number(text);
  };
  switch (name) {
    case '$oid':
      return ObjectId.createFromHexString(string(value, /^[0-9a-f]{24}$/i));
    case '$numberInt':
      return int32(string(value, /^-?\d{1,10}$/), wrong);
    case '$numberLong':
      return Long.fromBigInt(int64(string(value, /^-?\d{1,19}$/), wrong));
    case '$numberDouble':
      return wrappedDouble(string(), wrong);
    case '$numberDecimal':
      return parseDecimal(string()) satisfies Decimal128;
    case '$date':
      return wrappedDate(value, inner, wrong);
    case '$binary': {
      const subType = Number.parseInt(string(inner().get('subType'), /^[0-9a-f]{1,2}$/i), 16);
      return new Binary(Buffer.from(string(inner().get('base64')), 'base64'), subType);
    }
    case '$uuid':
      return new UUID(string(value, /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i));
    case '$regularExpression':
      return new BSONRegExp(string(inner().get('pattern')), string(inner().get('options')));
    case '$code':
      return new Code(string());
    case '$timestamp':
      return new Timestamp({ t: uint(inner().get('t')), i: uint(inner().get('i')) });
    case '$minKey':
      return new MinKey();
    case '$maxKey':
      return new MaxKey();
    default:
      throw mistyped(`a value of the deprecated type ${name.slice(1)}`);
  }
}

function int32(text: string, wrong: () => Error): Int32 {
  if (BigInt.asIntN(32, BigInt(text)) !== BigInt(text)) throw wrong();
  return new Int32(Number(text));
}

function int64(text: string, wrong: () => Error): bigint {
  if (BigInt.asIntN(64, BigInt(text)) !== BigInt(text)) throw wrong();
  return BigInt(text);
}

function wrappedDouble(text: string, wrong: () => Error): Double {
  if (/^(NaN|-?Infinity)$/.test(text)) return new Double(Number(text));
  if (!/^-?\d+(\.\d+)?([eE][+-]?\d+)?$/.test(text)) throw wrong();
  return double(Number(text));
}

function wrappedDate(value: Json, inner: () => Map<string, Json>, wrong: () => Error): Date {
  const ms = typeof value === 'string' ? Date.parse(value) : Number(inner().get('$numberLong'));
  const date = new Date(ms);
  if (Number.isNaN(date.getTime())) throw wrong();
  return date;
}
