import { BSON_TYPE as T } from '../bson/types.ts';
import { findElement, valueOffset, valueSize } from '../bson/walk.ts';

/** A value inside a document's bytes. */
export interface Place {
  readonly type: number;
  readonly buf: Buffer;
  readonly start: number;
  readonly end: number;
}

/** The field of this name; undefined when there is none. */
export function fieldOf(buf: Buffer, docStart: number, name: string): Place | undefined {
  const at = findElement(buf, docStart, name);
  if (at < 0) return undefined;
  const type = buf[at] as number;
  const start = valueOffset(buf, at);
  return { type, buf, start, end: start + valueSize(type, buf, start) };
}

/**
 * The value at a path of field names. Undefined when it, or a parent, is not
 * there or null; `broken` when a parent is neither a document nor null.
 */
export function valueAt(buf: Buffer, segments: readonly string[]): Place | undefined | 'broken' {
  let docStart = 0;
  for (const [depth, segment] of segments.entries()) {
    const place = fieldOf(buf, docStart, segment);
    if (place === undefined || depth === segments.length - 1) return place;
    if (place.type === T.null) return undefined;
    if (place.type !== T.object) return 'broken';
    docStart = place.start;
  }
  return undefined;
}
