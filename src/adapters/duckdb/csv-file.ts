import { createReadStream } from 'node:fs';
import { open } from 'node:fs/promises';

const QUOTE = 0x22;
const NEWLINE = 0x0a;
const HEAD_BYTES = 1 << 20;

/** The names in the first row of a CSV file. */
export async function headerOf(file: string): Promise<readonly string[]> {
  const handle = await open(file);
  try {
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(HEAD_BYTES), 0, HEAD_BYTES, 0);
    return fieldsOf(buffer.toString('utf8', 0, bytesRead));
  } finally {
    await handle.close();
  }
}

/** The fields of the first row. */
function fieldsOf(text: string): readonly string[] {
  const fields: string[] = [];
  const field = /(?:"((?:[^"]|"")*)"|([^",\n]*))(,|\r?\n|$)/y;
  for (let match = field.exec(text); match !== null; match = field.exec(text)) {
    fields.push(match[1] === undefined ? (match[2] ?? '') : match[1].replaceAll('""', '"'));
    if (match[3] !== ',') break;
  }
  return fields;
}

/** Bytes of the longest row of a CSV file. A row ends at a line feed outside of quotes. */
export async function longestRow(file: string, signal: AbortSignal): Promise<number> {
  let longest = 0;
  let length = 0;
  let quoted = false;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Buffer>) {
    for (const byte of chunk) {
      length += 1;
      if (byte === QUOTE) quoted = !quoted;
      else if (byte === NEWLINE && !quoted) {
        if (length > longest) longest = length;
        length = 0;
      }
    }
  }
  return Math.max(longest, length);
}
