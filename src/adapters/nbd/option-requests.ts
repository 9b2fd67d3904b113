/** The data of options, as clients send it; undefined where its lengths do not fit or it is no text. */
import { LONGEST_STRING } from './protocol.ts';

const utf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });

/** "Conventions": UTF-8, no NUL, at most 4096 bytes. */
export function readName(data: Buffer): string | undefined {
  if (data.length > LONGEST_STRING || data.includes(0)) return undefined;
  try {
    return utf8.decode(data);
  } catch {
    return undefined;
  }
}

/** NBD_OPT_INFO and NBD_OPT_GO: the export, and what the client wants to know of it. */
export function readExportRequest(data: Buffer): { name: string; wanted: ReadonlySet<number> } | undefined {
  if (data.length < 6) return undefined;
  const nameLength = data.readUInt32BE(0);
  if (nameLength > data.length - 6) return undefined;
  const name = readName(data.subarray(4, 4 + nameLength));
  const count = data.readUInt16BE(4 + nameLength);
  const from = 6 + nameLength;
  if (name === undefined || data.length !== from + 2 * count) return undefined;
  const wanted = Array.from({ length: count }, (_, i) => data.readUInt16BE(from + 2 * i));
  return { name, wanted: new Set(wanted) };
}

/** NBD_OPT_LIST_META_CONTEXT and NBD_OPT_SET_META_CONTEXT. */
export function readMetaQueries(data: Buffer): { name: string; queries: readonly string[] } | undefined {
  let at = 0;
  const number = (): number | undefined => {
    if (data.length - at < 4) return undefined;
    at += 4;
    return data.readUInt32BE(at - 4);
  };
  const text = (): string | undefined => {
    const length = number();
    if (length === undefined || length > data.length - at) return undefined;
    at += length;
    return readName(data.subarray(at - length, at));
  };
  const name = text();
  const count = number();
  if (name === undefined || count === undefined) return undefined;
  const queries: string[] = [];
  for (let i = 0; i < count; i++) {
    const query = text();
    if (query === undefined) return undefined;
    queries.push(query);
  }
  return at === data.length ? { name, queries } : undefined;
}
