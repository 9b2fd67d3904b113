/**
 * Finds its way through raw BSON by arithmetic on offsets: nothing is decoded
 * and nothing is allocated, because every copied document passes through here.
 * Layout: bsonspec.org, version 1.1.
 */
import { GodwitError } from '../../../kernel/errors.ts';

/** The shortest document: its length and the closing NUL. */
export const EMPTY_DOCUMENT_SIZE = 5;

const VARIABLE = -1;
const UNKNOWN = -2;

/** Size of a value by its type byte; most types have only one size. */
const FIXED_SIZE = new Int8Array(256).fill(UNKNOWN);
for (const [type, size] of [
  [0x01, 8],
  [0x06, 0],
  [0x07, 12],
  [0x08, 1],
  [0x09, 8],
  [0x0a, 0],
  [0x10, 4],
  [0x11, 8],
  [0x12, 8],
  [0x13, 16],
  [0x7f, 0],
  [0xff, 0],
] as const) {
  FIXED_SIZE[type] = size;
}
for (const type of [0x02, 0x03, 0x04, 0x05, 0x0b, 0x0c, 0x0d, 0x0e, 0x0f]) FIXED_SIZE[type] = VARIABLE;

// biome-ignore lint/suspicious/noConfusingVoidType: most visitors see every element and return nothing
type VisitResult = boolean | void;

/** Told of one element; `true` ends the walk. */
export type ElementVisitor = (
  type: number,
  nameStart: number,
  nameEnd: number,
  valueStart: number,
  valueEnd: number,
) => VisitResult;

function malformed(what: string, offset: number): GodwitError {
  return new GodwitError('GW9001', `Malformed BSON: ${what} at offset ${offset}`, { details: { offset } });
}

/** A little-endian int32. Past the end of the buffer the answer is that of zero bytes. */
export function readInt32(buf: Buffer, offset: number): number {
  return buf[offset]! | (buf[offset + 1]! << 8) | (buf[offset + 2]! << 16) | (buf[offset + 3]! << 24);
}

/** A timestamp as its unsigned 64 bits: seconds above, increment below, so that it compares as a number. */
export function readTimestamp(buf: Buffer, offset: number): bigint {
  return buf.readBigUInt64LE(offset);
}

/** The length of the document at `offset`, checked to lie within the buffer. */
export function docLength(buf: Buffer, offset: number): number {
  const length = readInt32(buf, offset);
  if (length < EMPTY_DOCUMENT_SIZE || offset + length > buf.length) throw malformed('a document does not fit', offset);
  return length;
}

/** Offset of the NUL that ends the C string at `offset`. */
export function cstringEnd(buf: Buffer, offset: number): number {
  const limit = buf.length;
  let at = offset;
  while (at < limit && buf[at] !== 0) at++;
  if (at >= limit) throw malformed('a name without end', offset);
  return at;
}

/** How many bytes the value of this type at `offset` takes. */
export function valueSize(type: number, buf: Buffer, offset: number): number {
  const fixed = FIXED_SIZE[type]!;
  const size = fixed >= 0 ? fixed : variableSize(type, fixed, buf, offset);
  if (offset + size > buf.length) throw malformed('a value does not fit', offset);
  return size;
}

function variableSize(type: number, kind: number, buf: Buffer, offset: number): number {
  if (kind === UNKNOWN) throw malformed(`unknown element type 0x${type.toString(16).padStart(2, '0')}`, offset);
  if (type === 0x0b) return cstringEnd(buf, cstringEnd(buf, offset) + 1) + 1 - offset;
  if (offset + 4 > buf.length) throw malformed('a length does not fit', offset);
  const length = readInt32(buf, offset);
  if (length < 0) throw malformed('a negative length', offset);
  switch (type) {
    case 0x03:
    case 0x04:
      if (length < EMPTY_DOCUMENT_SIZE) throw malformed('a document too short', offset);
      return length;
    case 0x0f:
      // int32, a string of at least 5 bytes, a document of at least 5.
      if (length < 14) throw malformed('a code with scope too short', offset);
      return length;
    case 0x05:
      return 4 + 1 + length;
    case 0x0c:
      return 4 + length + 12;
    default:
      if (length < 1) throw malformed('a string without its NUL', offset);
      return 4 + length;
  }
}

/** Offset of the value of the element whose type byte is at `elementOffset`. */
export function valueOffset(buf: Buffer, elementOffset: number): number {
  return cstringEnd(buf, elementOffset + 1) + 1;
}

/** Offset of the byte after the element whose type byte is at `elementOffset`. */
export function elementEnd(buf: Buffer, elementOffset: number): number {
  const value = valueOffset(buf, elementOffset);
  return value + valueSize(buf[elementOffset]!, buf, value);
}

/** Names asked for by code, as bytes. Bounded, should names ever come from data. */
const nameBytes = new Map<string, Buffer>();
const MAX_CACHED_NAMES = 4096;

function bytesOfName(name: string): Buffer {
  const known = nameBytes.get(name);
  if (known !== undefined) return known;
  const bytes = Buffer.from(name, 'utf8');
  if (nameBytes.size < MAX_CACHED_NAMES) nameBytes.set(name, bytes);
  return bytes;
}

/**
 * Offset of the type byte of the first element called `name`, or -1. One walk
 * of the top level. Names are compared as bytes: names that print alike are
 * different names, and a Buffer finds names that are not valid UTF-8.
 */
export function findElement(buf: Buffer, docStart: number, name: string | Buffer): number {
  const wanted = typeof name === 'string' ? bytesOfName(name) : name;
  const length = wanted.length;
  const end = docStart + docLength(buf, docStart) - 1;
  let at = docStart + 4;
  while (at < end) {
    const nameStart = at + 1;
    let same = 0;
    // A NUL ends the match, so it cannot run out of the element's name.
    while (same < length && buf[nameStart + same] === wanted[same] && wanted[same] !== 0) same++;
    if (same === length && buf[nameStart + length] === 0) return at;
    const value = cstringEnd(buf, nameStart) + 1;
    at = value + valueSize(buf[at]!, buf, value);
  }
  if (at !== end) throw malformed('elements run past their document', docStart);
  return -1;
}

/** Visits the elements of one level, in order. Returns whether the visitor ended the walk. */
export function walk(buf: Buffer, docStart: number, visit: ElementVisitor): boolean {
  const end = docStart + docLength(buf, docStart) - 1;
  let at = docStart + 4;
  while (at < end) {
    const type = buf[at]!;
    const nameEnd = cstringEnd(buf, at + 1);
    const valueEnd = nameEnd + 1 + valueSize(type, buf, nameEnd + 1);
    if (valueEnd > end) throw malformed('an element runs past its document', at);
    if (visit(type, at + 1, nameEnd, nameEnd + 1, valueEnd) === true) return true;
    at = valueEnd;
  }
  return false;
}
