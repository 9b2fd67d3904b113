import type { BsonBuilder } from '../bson/builder.ts';
import { cstringEnd, elementEnd, findElement, readInt32, valueOffset, valueSize } from '../bson/walk.ts';

const OBJECT = 0x03;
const TIMESTAMP = 0x11;
const DOT = 0x2e;
const DOLLAR = 0x24;
const U = 0x75;
const I = 0x69;
const D = 0x64;

/**
 * Whether a log diff says no more than "set these fields, remove those", so
 * that `$set` and `$unset` do exactly the same, at less cost for the server
 * than its own diff stage. Only for documents known to be as they were at the
 * source before the change: a field to insert must not be there yet.
 *
 * `$set` adds new fields in the order of their names, the diff in its own:
 * with several new fields both must agree.
 */
export function isSimpleDiff(buf: Buffer, start: number): boolean {
  const at = findElement(buf, start, 'diff');
  if (at < 0 || buf[at] !== OBJECT) return false;
  const diff = valueOffset(buf, at);
  const end = diff + readInt32(buf, diff) - 1;
  for (let section = diff + 4; section < end; ) {
    const letter = buf[section + 1];
    // One letter and its NUL: nested diffs ('s' and field name) are longer, arrays have 'a'.
    if (buf[section] !== OBJECT || buf[section + 2] !== 0 || (letter !== U && letter !== I && letter !== D))
      return false;
    const value = section + 3;
    if (!areSimpleFields(buf, value, letter === I)) return false;
    section = value + readInt32(buf, value);
  }
  return true;
}

function areSimpleFields(buf: Buffer, doc: number, sorted: boolean): boolean {
  const end = doc + readInt32(buf, doc) - 1;
  let previous = -1;
  let previousEnd = -1;
  for (let at = doc + 4; at < end; ) {
    const name = at + 1;
    const nameEnd = cstringEnd(buf, name);
    if (nameEnd === name || buf[name] === DOLLAR || buf[at] === TIMESTAMP || isDigit(buf[name] as number)) return false;
    for (let i = name; i < nameEnd; i += 1) if (buf[i] === DOT) return false;
    if (sorted && previous >= 0 && buf.compare(buf, name, nameEnd, previous, previousEnd) >= 0) return false;
    previous = name;
    previousEnd = nameEnd;
    const value = nameEnd + 1;
    at = value + valueSize(buf[at] as number, buf, value);
  }
  return true;
}

/** Names that begin with a digit might be taken for numbers, which `$set` orders by value. */
function isDigit(byte: number): boolean {
  return byte >= 0x30 && byte <= 0x39;
}

/** Writes the update document of a simple diff into an open statement. */
export function appendSimpleDiff(out: BsonBuilder, buf: Buffer, start: number): void {
  const diff = valueOffset(buf, findElement(buf, start, 'diff'));
  const end = diff + readInt32(buf, diff) - 1;
  out.startDocument('u');
  let open = false;
  for (const letters of [SET, UNSET]) {
    open = false;
    for (let section = diff + 4; section < end; ) {
      const value = section + 3;
      if (letters.includes(buf[section + 1] as number)) {
        if (!open) out.startDocument(letters === SET ? '$set' : '$unset');
        open = true;
        copyFields(out, buf, value);
      }
      section = value + readInt32(buf, value);
    }
    if (open) out.end();
  }
  out.end();
}

const SET = [U, I];
const UNSET = [D];

function copyFields(out: BsonBuilder, buf: Buffer, doc: number): void {
  const end = doc + readInt32(buf, doc) - 1;
  for (let at = doc + 4; at < end; ) {
    const nameEnd = cstringEnd(buf, at + 1);
    const next = elementEnd(buf, at);
    out.appendElement(buf[at] as number, buf.subarray(at + 1, nameEnd), buf, nameEnd + 1, next);
    at = next;
  }
}
