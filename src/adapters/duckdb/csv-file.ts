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

/** What a CSV file holds, counted byte by byte. */
export interface CsvMeasure {
  /** Without the header. */
  readonly rows: number;
  /** Bytes of the longest row. */
  readonly longest: number;
  /** It ends where a row ends. */
  readonly whole: boolean;
}

/** Reads all of a file. A row ends at a line feed outside of quotes. */
export async function measureCsv(file: string, signal: AbortSignal): Promise<CsvMeasure> {
  let [ends, longest, length] = [0, 0, 0];
  let quoted = false;
  for await (const chunk of createReadStream(file, { highWaterMark: 1 << 20, signal }) as AsyncIterable<Buffer>) {
    for (let i = 0; i < chunk.length; i += 1) {
      const byte = chunk[i];
      length += 1;
      if (byte === QUOTE) quoted = !quoted;
      else if (byte === NEWLINE && !quoted) {
        if (length > longest) longest = length;
        length = 0;
        ends += 1;
      }
    }
  }
  return { rows: ends - 1, longest: Math.max(longest, length), whole: length === 0 };
}

/** Whether the last byte of a file ends a line. One that was cut off in the middle of a row does not. */
export async function endsLine(file: string): Promise<boolean> {
  const handle = await open(file);
  try {
    const { size } = await handle.stat();
    const { buffer, bytesRead } = await handle.read(Buffer.alloc(1), 0, 1, Math.max(0, size - 1));
    return bytesRead === 1 && buffer[0] === NEWLINE;
  } finally {
    await handle.close();
  }
}
