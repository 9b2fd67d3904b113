import type { Position } from '../../../kernel/position.ts';
import { cstringEnd, elementEnd, readInt32, valueSize } from '../bson/walk.ts';
import { readPosition } from '../position.ts';

/** Operation letters of the oplog, as character codes. */
export const OP = { insert: 0x69, update: 0x75, delete: 0x64, command: 0x63, noop: 0x6e } as const;

/**
 * One oplog entry, or one operation inside a transaction, as offsets into the
 * block it lies in: nothing is copied until a statement is written.
 * Layout: the `repl::OplogEntry` document of the MongoDB server.
 */
export interface LogEntry {
  buf: Buffer;
  start: number;
  end: number;
  op: number;
  /** Namespace: bytes of the string without its NUL. */
  nsStart: number;
  nsEnd: number;
  /** The 16 bytes of the collection's UUID, or -1. */
  uuidStart: number;
  /** `o`, a document; -1 when absent. */
  o: number;
  oEnd: number;
  /** `o2`, a document; -1 when absent. */
  o2: number;
  ts: Position | undefined;
  /** Element of `lsid` and `txnNumber`, for transactions; -1 when absent. */
  lsid: number;
  lsidEnd: number;
  txnNumber: bigint | undefined;
  /** Milliseconds since the epoch, or 0. */
  wallMs: number;
}

/** Reads the entry at an offset. Fields it does not need are passed over. */
export function readEntry(buf: Buffer, start: number, withPosition: boolean): LogEntry {
  const end = start + readInt32(buf, start);
  const entry: LogEntry = {
    buf,
    start,
    end,
    op: 0,
    nsStart: -1,
    nsEnd: -1,
    uuidStart: -1,
    o: -1,
    oEnd: -1,
    o2: -1,
    ts: undefined,
    lsid: -1,
    lsidEnd: -1,
    txnNumber: undefined,
    wallMs: 0,
  };
  for (let at = start + 4; at < end - 1; ) {
    const type = buf[at] as number;
    const name = at + 1;
    const nameEnd = cstringEnd(buf, name);
    const value = nameEnd + 1;
    const next = value + valueSize(type, buf, value);
    readField(entry, type, name, nameEnd - name, value, next, withPosition);
    at = next;
  }
  return entry;
}

function readField(
  entry: LogEntry,
  type: number,
  name: number,
  length: number,
  value: number,
  next: number,
  withPosition: boolean,
): void {
  const { buf } = entry;
  const c0 = buf[name];
  if (length === 1) {
    if (c0 === 0x6f && type === 0x03) {
      entry.o = value;
      entry.oEnd = next;
    }
    return;
  }
  const c1 = buf[name + 1];
  if (length === 2) {
    if (c0 === 0x6f && c1 === 0x70) entry.op = buf[value + 4] === undefined ? 0 : opCode(buf, value);
    else if (c0 === 0x6e && c1 === 0x73) {
      entry.nsStart = value + 4;
      entry.nsEnd = next - 1;
    } else if (c0 === 0x75 && c1 === 0x69 && type === 0x05) entry.uuidStart = value + 5;
    else if (c0 === 0x6f && c1 === 0x32 && type === 0x03) entry.o2 = value;
    else if (c0 === 0x74 && c1 === 0x73 && withPosition) entry.ts = readPosition(buf, value);
    return;
  }
  if (length === 4) {
    if (c0 === 0x77 && c1 === 0x61 && type === 0x09) entry.wallMs = Number(buf.readBigInt64LE(value));
    else if (c0 === 0x6c && c1 === 0x73 && type === 0x03) {
      entry.lsid = value;
      entry.lsidEnd = next;
    }
    return;
  }
  if (length === 9 && type === 0x12 && buf.toString('latin1', name, name + 9) === 'txnNumber') {
    entry.txnNumber = buf.readBigInt64LE(value);
  }
}

/** One letter; the two-letter operations of newer servers keep both, and are unknown here. */
function opCode(buf: Buffer, value: number): number {
  const letters = readInt32(buf, value) - 1;
  const first = buf[value + 4] as number;
  return letters === 1 ? first : (first << 8) | (buf[value + 5] as number);
}

/** Operation as readable text. */
export function opName(entry: LogEntry): string {
  return entry.op > 0xff ? String.fromCharCode(entry.op >> 8, entry.op & 0xff) : String.fromCharCode(entry.op);
}

/** Namespace as text. */
export function namespaceText(entry: LogEntry): string {
  return entry.nsStart < 0 ? '' : entry.buf.toString('utf8', entry.nsStart, entry.nsEnd);
}

/** Visits the operations inside an `applyOps` array. */
export function forEachOperation(buf: Buffer, arrayStart: number, visit: (entry: LogEntry) => void): void {
  const end = arrayStart + readInt32(buf, arrayStart) - 1;
  for (let at = arrayStart + 4; at < end; ) {
    const value = cstringEnd(buf, at + 1) + 1;
    visit(readEntry(buf, value, false));
    at = elementEnd(buf, at);
  }
}
