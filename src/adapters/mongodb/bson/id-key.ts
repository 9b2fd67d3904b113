/**
 * A string that stands for an `_id` in a Map or a routing table. Two `_id`s
 * that MongoDB calls the same key have the same string; otherwise one document
 * would be written by two lanes at once.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import { nearestDouble, readNumber } from './numbers.ts';
import { BSON_TYPE as T } from './types.ts';
import { cstringEnd, docLength, readInt32, valueSize } from './walk.ts';

/**
 * The key of one value. Different values share a key only where they are
 * numbers that round to the same double (or hold such numbers).
 * The first letter tells the kind, so kinds cannot run into each other.
 */
export function idKey(type: number, buf: Buffer, start: number, end: number): string {
  switch (type) {
    case T.objectId:
      return `o${buf.toString('latin1', start, end)}`;
    case T.string:
    case T.symbol:
      return `s${buf.toString('latin1', start + 4, end - 1)}`;
    case T.int32:
      return `n${readInt32(buf, start)}`;
    case T.double:
    case T.int64:
    case T.decimal128:
      return `n${nearestDouble(readNumber(type, buf, start))}`;
    case T.binary:
      return `b${buf.toString('latin1', start, end)}`;
    case T.date:
      return `d${buf.toString('latin1', start, end)}`;
    case T.bool:
      return buf[start] === 0 ? 'f' : 't';
    case T.object:
      return `{${documentKey(buf, start, true)}}`;
    case T.array:
      return `[${documentKey(buf, start, false)}]`;
    case T.timestamp:
      return `T${buf.toString('latin1', start, end)}`;
    case T.regex:
      return `r${buf.toString('latin1', start, end)}`;
    case T.dbPointer:
      return `p${buf.toString('latin1', start, end)}`;
    case T.code:
      return `c${buf.toString('latin1', start + 4, end - 1)}`;
    case T.codeWithScope: {
      const scope = start + 8 + readInt32(buf, start + 4);
      return `w${buf.toString('latin1', start + 4, scope)}${documentKey(buf, scope, true)}`;
    }
    case T.null:
      return '0';
    case T.undefined:
      return 'u';
    case T.minKey:
      return '<';
    case T.maxKey:
      return '>';
    default:
      throw new GodwitError('GW9001', `Unknown BSON type 0x${type.toString(16).padStart(2, '0')}`);
  }
}

/** Name, NUL, length of the key, colon, key: no two different documents read the same. */
function documentKey(buf: Buffer, start: number, names: boolean): string {
  const end = start + docLength(buf, start) - 1;
  let key = '';
  let at = start + 4;
  while (at < end) {
    const type = buf[at]!;
    const nameEnd = cstringEnd(buf, at + 1);
    const next = nameEnd + 1 + valueSize(type, buf, nameEnd + 1);
    const value = idKey(type, buf, nameEnd + 1, next);
    if (names) key += buf.toString('latin1', at + 1, nameEnd + 1);
    key += `${value.length}:${value}`;
    at = next;
  }
  return key;
}
