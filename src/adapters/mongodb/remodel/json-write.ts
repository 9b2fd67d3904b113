import { BSON_TYPE as T } from '../bson/types.ts';
import { docLength, readInt32, walk } from '../bson/walk.ts';
import { decimalText } from './decimal.ts';
import { bsonTypeName, mistyped } from './mistyped.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const FURTHEST_MS = 8_640_000_000_000_000n;

/** @throws GodwitError GW5006 for bytes that are not UTF-8, which JavaScript would change. */
export function readText(buf: Buffer, start: number, end: number): string {
  try {
    return utf8.decode(buf.subarray(start, end));
  } catch {
    throw mistyped('a string that is not valid UTF-8');
  }
}

/** Keys that stand for a type where they are the first of an object in extended JSON. */
export const WRAPPERS: ReadonlySet<string> = new Set([
  '$binary',
  '$code',
  '$date',
  '$maxKey',
  '$minKey',
  '$numberDecimal',
  '$numberDouble',
  '$numberInt',
  '$numberLong',
  '$oid',
  '$regularExpression',
  '$timestamp',
  '$uuid',
  '$symbol',
  '$dbPointer',
  '$undefined',
]);

/**
 * Any BSON value as extended JSON, type-exact, in the order stored. What JSON
 * has is plain, so that `JSON.parse` gives something useful: a 32-bit integer
 * is `5`, a double always has a point or an exponent (`5.0`), a 64-bit integer
 * outside of 32 bits is its digits; everything else is `{"$numberLong": "5"}`
 * and its like. `parseJson` gives back the same BSON.
 * With `canonical` numbers are wrapped, as the tools of MongoDB write and want them.
 * @throws GodwitError GW5006 for deprecated types, repeated names, and names that look like such a type.
 */
export function jsonText(type: number, buf: Buffer, start: number, end: number, canonical = false): string {
  switch (type) {
    case T.double:
      return doubleText(buf.readDoubleLE(start), canonical);
    case T.string:
      return JSON.stringify(readText(buf, start + 4, end - 1));
    case T.object:
      return documentText(buf, start, canonical);
    case T.array:
      return arrayText(buf, start, canonical);
    case T.binary:
      return binaryText(buf, start, end);
    case T.objectId:
      return `{"$oid":"${buf.toString('hex', start, end)}"}`;
    case T.bool:
      return buf[start] === 1 ? 'true' : 'false';
    case T.date:
      return `{"$date":{"$numberLong":"${checkedDate(buf.readBigInt64LE(start))}"}}`;
    case T.null:
      return 'null';
    case T.regex:
      return regexText(buf, start, end);
    case T.code:
      return `{"$code":${JSON.stringify(readText(buf, start + 4, end - 1))}}`;
    case T.int32:
      return canonical ? `{"$numberInt":"${readInt32(buf, start)}"}` : String(readInt32(buf, start));
    case T.timestamp:
      return `{"$timestamp":{"t":${buf.readUInt32LE(start + 4)},"i":${buf.readUInt32LE(start)}}}`;
    case T.int64:
      return longText(buf.readBigInt64LE(start), canonical);
    case T.decimal128:
      return `{"$numberDecimal":"${decimalText(buf.subarray(start, end))}"}`;
    case T.minKey:
      return '{"$minKey":1}';
    case T.maxKey:
      return '{"$maxKey":1}';
    default:
      throw mistyped(`a value of the deprecated type ${bsonTypeName(type)}`);
  }
}

function doubleText(value: number, canonical: boolean): string {
  if (!Number.isFinite(value)) return `{"$numberDouble":"${value}"}`;
  const digits = Object.is(value, -0) ? '-0' : String(value);
  const text = /[.e]/.test(digits) ? digits : `${digits}.0`;
  return canonical ? `{"$numberDouble":"${text}"}` : text;
}

function longText(value: bigint, canonical: boolean): string {
  const fits = value >= -(2n ** 31n) && value < 2n ** 31n;
  return canonical || fits ? `{"$numberLong":"${value}"}` : String(value);
}

function checkedDate(ms: bigint): bigint {
  if (ms > FURTHEST_MS || ms < -FURTHEST_MS) throw mistyped('a date beyond the year 275760');
  return ms;
}

function documentText(buf: Buffer, start: number, canonical: boolean): string {
  const parts: string[] = [];
  const names = new Set<string>();
  docLength(buf, start);
  walk(buf, start, (type, nameStart, nameEnd, valueStart, valueEnd) => {
    const name = readText(buf, nameStart, nameEnd);
    if (names.has(name)) throw mistyped('a document that has a field twice');
    if (names.size === 0 && WRAPPERS.has(name)) throw mistyped(`a document with a field called ${name}`);
    names.add(name);
    parts.push(`${JSON.stringify(name)}:${jsonText(type, buf, valueStart, valueEnd, canonical)}`);
  });
  return `{${parts.join(',')}}`;
}

function arrayText(buf: Buffer, start: number, canonical: boolean): string {
  const parts: string[] = [];
  walk(buf, start, (type, _nameStart, _nameEnd, valueStart, valueEnd) => {
    parts.push(jsonText(type, buf, valueStart, valueEnd, canonical));
  });
  return `[${parts.join(',')}]`;
}

function binaryText(buf: Buffer, start: number, end: number): string {
  const subType = buf[start + 4] as number;
  const payload = start + 5 + (subType === 2 ? 4 : 0);
  const hex = subType.toString(16).padStart(2, '0');
  return `{"$binary":{"base64":"${buf.toString('base64', payload, end)}","subType":"${hex}"}}`;
}

function regexText(buf: Buffer, start: number, end: number): string {
  const middle = buf.indexOf(0, start);
  const pattern = JSON.stringify(readText(buf, start, middle));
  const options = JSON.stringify(readText(buf, middle + 1, end - 1));
  return `{"$regularExpression":{"pattern":${pattern},"options":${options}}}`;
}
