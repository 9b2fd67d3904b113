/**
 * Transaction logs: what a hive that was not closed cleanly is missing. Both
 * formats by "Windows registry file format specification"
 * (github.com/msuhanov/regf, section Format of transaction log files): one
 * bitmap with the pages that were to be written (`DIRT`, up to Windows 8), or
 * entries in sequence, each with its pages (`HvLE`, since 8.1).
 */
import { type BaseBlock, FILE_TYPE, looksLikeHive, readBaseBlock } from './base-block.ts';
import { marvin32 } from './marvin32.ts';

const SECTOR = 512;
const ENTRY_HEADER = 40;
/** The bytes 82 EF 4D 88 7A 4E 55 C5. */
const SEED = [0x884def82, 0xc5554e7a] as const;

export interface Page {
  /** From the first hive bin on. */
  readonly offset: number;
  readonly content: Buffer;
}

/** A step that takes the hive from one sequence number to the next. */
export interface LogEntry {
  readonly sequence: number;
  readonly binsSize: number;
  readonly pages: readonly Page[];
}

export interface Log {
  readonly name: string;
  readonly bytes: Buffer;
  readonly base: BaseBlock;
}

/** A log file that has a base block of its own that holds; undefined for an empty or foreign file. */
export function openLog(name: string, bytes: Buffer): Log | undefined {
  if (!looksLikeHive(bytes)) return undefined;
  let base: BaseBlock;
  try {
    base = readBaseBlock(bytes);
  } catch {
    return undefined;
  }
  return base.isSumRight && base.fileType !== FILE_TYPE.primary ? { name, bytes, base } : undefined;
}

/** Entries from the log's own sequence number on, up to the first that does not hold or does not follow. */
export function entriesOf({ bytes, base }: Log): LogEntry[] {
  const entries: LogEntry[] = [];
  let at = SECTOR;
  for (let entry = entryAt(bytes, at); entry; entry = entryAt(bytes, at)) {
    const last = entries.at(-1);
    if (entry.sequence !== (last === undefined ? base.primarySequence : (last.sequence + 1) >>> 0)) break;
    entries.push(entry);
    at += bytes.readUInt32LE(at + 4);
  }
  return entries;
}

/** The entry at a place when all of it is there and both of its checksums are right. */
function entryAt(bytes: Buffer, at: number): LogEntry | undefined {
  if (at + ENTRY_HEADER > bytes.length || bytes.toString('latin1', at, at + 4) !== 'HvLE') return undefined;
  const size = bytes.readUInt32LE(at + 4);
  if (size < SECTOR || size % SECTOR !== 0 || at + size > bytes.length) return undefined;
  const entry = bytes.subarray(at, at + size);
  if (!hasHash(entry, 24, entry.subarray(ENTRY_HEADER)) || !hasHash(entry, 32, entry.subarray(0, 32))) return undefined;
  const binsSize = entry.readUInt32LE(16);
  const count = entry.readUInt32LE(20);
  if (binsSize % 4096 !== 0 || ENTRY_HEADER + 8 * count > size) return undefined;
  const pages: Page[] = [];
  let content = ENTRY_HEADER + 8 * count;
  for (let index = 0; index < count; index += 1) {
    const offset = entry.readUInt32LE(ENTRY_HEADER + 8 * index);
    const length = entry.readUInt32LE(ENTRY_HEADER + 8 * index + 4);
    if (content + length > size || offset + length > binsSize) return undefined;
    pages.push({ offset, content: entry.subarray(content, content + length) });
    content += length;
  }
  return { sequence: entry.readUInt32LE(12), binsSize, pages };
}

function hasHash(entry: Buffer, at: number, over: Buffer): boolean {
  const [low, high] = marvin32(over, SEED);
  return entry.readUInt32LE(at) === low && entry.readUInt32LE(at + 4) === high;
}

/** What a log of the old format holds; undefined when it was not written to its end. */
export function dirtyPagesOf({ bytes, base }: Log): LogEntry | undefined {
  const { sectorSize, binsSize, primarySequence } = base;
  const bitmap = sectorSize + 4;
  const bits = binsSize / SECTOR;
  if (primarySequence !== base.secondarySequence || binsSize % 4096 !== 0) return undefined;
  if (bytes.length < bitmap + bits / 8 || bytes.toString('latin1', sectorSize, bitmap) !== 'DIRT') return undefined;
  const pages: Page[] = [];
  let content = Math.ceil((bitmap + bits / 8) / sectorSize) * sectorSize;
  for (let bit = 0; bit < bits; bit += 1) {
    if ((bytes[bitmap + (bit >>> 3)]! & (1 << (bit & 7))) === 0) continue;
    if (content + SECTOR > bytes.length) return undefined;
    pages.push({ offset: bit * SECTOR, content: bytes.subarray(content, content + SECTOR) });
    content += SECTOR;
  }
  return { sequence: primarySequence, binsSize, pages };
}
