import { docLength, walk } from '../bson/walk.ts';

const DEEPEST = 250;

/** Throws when the documents, back to back, are not well-formed all the way down. */
export function validateDocuments(docs: Buffer): void {
  for (let at = 0; at < docs.length; at += docLength(docs, at)) validate(docs, at, 0);
}

function validate(buf: Buffer, start: number, depth: number): void {
  if (depth > DEEPEST) throw new RangeError('A document is nested deeper than servers allow');
  walk(buf, start, (type, _nameStart, _nameEnd, valueStart, valueEnd) => {
    if (type === 0x03 || type === 0x04) validate(buf, valueStart, depth + 1);
    else if ((type === 0x02 || type === 0x0d || type === 0x0e) && buf[valueEnd - 1] !== 0)
      throw new RangeError('A string does not end');
  });
}
