/** What fanotify tells, out of its bytes (linux/fanotify.h). */
import type { Name } from '../libc/bytes.ts';

export const MASK = {
  MODIFY: 0x2,
  ATTRIB: 0x4,
  CLOSE_WRITE: 0x8,
  CREATE: 0x100,
  DELETE: 0x200,
  OVERFLOW: 0x4000,
  RENAME: 0x1000_0000,
  ONDIR: 0x4000_0000,
} as const;

const INFO = { FID: 1, DIR_AND_NAME: 2, DIR: 3, OLD_NAME: 10, NEW_NAME: 12 } as const;
const METADATA = 24;
const VERSION = 3;
/** Before a handle: type, pad, length of the record; and the identity of the file system. */
const HANDLE_AT = 12;

/** One event. Handles are bytes, one a character: length, type, what the file system put in. */
export interface FileEvent {
  readonly mask: number;
  /** The inode that it happened to. */
  readonly inode?: Name;
  /** Names whose meaning may have changed, each in its directory. */
  readonly names: readonly { readonly directory: Name; readonly name: Name }[];
}

/** All events that one read gave. What cannot be understood is an overflow: something happened, and nobody knows what. */
export function parseEvents(bytes: Buffer): FileEvent[] {
  const events: FileEvent[] = [];
  for (let at = 0; at < bytes.length; ) {
    const length = at + METADATA <= bytes.length ? bytes.readUInt32LE(at) : 0;
    const isWhole = length >= METADATA && at + length <= bytes.length && bytes[at + 4] === VERSION;
    if (!isWhole) return [...events, LOST];
    events.push(parseOne(bytes.subarray(at, at + length)) ?? LOST);
    at += length;
  }
  return events;
}

const LOST: FileEvent = { mask: MASK.OVERFLOW, names: [] };

function parseOne(bytes: Buffer): FileEvent | undefined {
  const mask = bytes.readUInt32LE(8);
  let inode: Name | undefined;
  const names: { directory: Name; name: Name }[] = [];
  for (let at = bytes.readUInt16LE(6); at < bytes.length; ) {
    if (at + 4 > bytes.length) return undefined;
    const length = bytes.readUInt16LE(at + 2);
    if (length < HANDLE_AT + 8 || at + length > bytes.length) return undefined;
    const record = bytes.subarray(at, at + length);
    const end = HANDLE_AT + 8 + record.readUInt32LE(HANDLE_AT);
    if (end > record.length) return undefined;
    const handle = record.toString('latin1', HANDLE_AT, end);
    const type = record[0];
    if (type === INFO.FID || type === INFO.DIR) inode ??= handle;
    else if (type === INFO.DIR_AND_NAME || type === INFO.OLD_NAME || type === INFO.NEW_NAME) {
      const stop = record.indexOf(0, end);
      const name = record.toString('latin1', end, stop < 0 ? record.length : stop);
      // Of what happened to a directory itself its own handle is told, with this for a name.
      if (name === '.' || name === '') inode ??= handle;
      else names.push({ directory: handle, name });
    }
    at += length;
  }
  return { mask, names, ...(inode === undefined ? {} : { inode }) };
}
