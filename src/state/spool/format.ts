/**
 * The bytes of a segment file (little-endian):
 *
 *   segment header   magic "GWSPOOL\n", version u32, n u16, n bytes: the position
 *                    just before the first block (`after`), crc32 u32 of all before it
 *   block header     payload length u32, payload crc32 u32, count u32, n u16, m u16,
 *                    n bytes first position, m bytes last position, crc32 u32 of all before it
 *   payload          opaque
 *
 * Headers have a checksum of their own, so that a damaged length or position is
 * never believed. `after` chains the segments: it must equal the last position of
 * the segment before, so that a hole cannot go unseen, and it keeps the spool's
 * end known while the newest segment is still empty.
 */
import { crc32 } from 'node:zlib';
import { GodwitError, invariant } from '../../kernel/errors.ts';
import type { LogBlock } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';

export const SPOOL_VERSION = 1;
const MAGIC = Buffer.from('GWSPOOL\n', 'latin1');
const SEGMENT_FIXED = 14;
const BLOCK_FIXED = 16;
const CRC = 4;
const MAX_POSITION_BYTES = 0xffff;

/** No header is longer than this. */
export const MAX_HEADER_BYTES = BLOCK_FIXED + 2 * MAX_POSITION_BYTES + CRC;

export interface SegmentHeader {
  readonly after: Position;
  readonly bytes: number;
}

export interface BlockHeader {
  readonly first: Position;
  readonly last: Position;
  readonly count: number;
  readonly headerBytes: number;
  readonly payloadBytes: number;
  readonly payloadCrc: number;
}

export function encodeSegmentHeader(after: Position): Buffer {
  const text = positionBytes(after);
  const out = Buffer.alloc(SEGMENT_FIXED + text.length + CRC);
  MAGIC.copy(out);
  out.writeUInt32LE(SPOOL_VERSION, 8);
  out.writeUInt16LE(text.length, 12);
  text.copy(out, SEGMENT_FIXED);
  return seal(out);
}

/** `torn` when the file ends before its header does. Throws GW9002 and GW4002. */
export function decodeSegmentHeader(bytes: Buffer, name: string): SegmentHeader | 'torn' {
  if (bytes.length < SEGMENT_FIXED) return 'torn';
  if (!bytes.subarray(0, MAGIC.length).equals(MAGIC)) throw damaged(name, 0, 'this is no spool segment');
  const version = bytes.readUInt32LE(8);
  if (version > SPOOL_VERSION) {
    throw new GodwitError('GW9002', `${name} has spool format ${version}; this Godwit reads up to ${SPOOL_VERSION}`, {
      details: { found: version, known: SPOOL_VERSION },
    });
  }
  const length = SEGMENT_FIXED + bytes.readUInt16LE(12) + CRC;
  if (bytes.length < length) return 'torn';
  if (!isSealed(bytes, 0, length)) throw damaged(name, 0, 'its header does not match its checksum');
  return { after: bytes.toString('utf8', SEGMENT_FIXED, length - CRC) as Position, bytes: length };
}

export function encodeBlockHeader(block: LogBlock): Buffer {
  const first = positionBytes(block.first);
  const last = positionBytes(block.last);
  const out = Buffer.allocUnsafe(BLOCK_FIXED + first.length + last.length + CRC);
  out.writeUInt32LE(block.bytes.length, 0);
  out.writeUInt32LE(crc32(block.bytes), 4);
  out.writeUInt32LE(block.count, 8);
  out.writeUInt16LE(first.length, 12);
  out.writeUInt16LE(last.length, 14);
  first.copy(out, BLOCK_FIXED);
  last.copy(out, BLOCK_FIXED + first.length);
  return seal(out);
}

/** The header at `at`; `short` when `end` comes first, `bad` when the checksum differs. */
export function decodeBlockHeader(bytes: Buffer, at: number, end: number): BlockHeader | 'short' | 'bad' {
  if (end - at < BLOCK_FIXED) return 'short';
  const firstEnd = at + BLOCK_FIXED + bytes.readUInt16LE(at + 12);
  const lastEnd = firstEnd + bytes.readUInt16LE(at + 14);
  const headerBytes = lastEnd + CRC - at;
  if (end - at < headerBytes) return 'short';
  if (!isSealed(bytes, at, headerBytes)) return 'bad';
  return {
    payloadBytes: bytes.readUInt32LE(at),
    payloadCrc: bytes.readUInt32LE(at + 4),
    count: bytes.readUInt32LE(at + 8),
    first: bytes.toString('utf8', at + BLOCK_FIXED, firstEnd) as Position,
    last: bytes.toString('utf8', firstEnd, lastEnd) as Position,
    headerBytes,
  };
}

export function damaged(file: string, offset: number, what: string): GodwitError {
  return new GodwitError('GW4002', `The spool is damaged in ${file} at byte ${offset}: ${what}`, {
    details: { file, offset },
  });
}

function seal(bytes: Buffer): Buffer {
  bytes.writeUInt32LE(crc32(bytes.subarray(0, bytes.length - CRC)), bytes.length - CRC);
  return bytes;
}

function isSealed(bytes: Buffer, at: number, length: number): boolean {
  const end = at + length - CRC;
  return crc32(bytes.subarray(at, end)) === bytes.readUInt32LE(end);
}

function positionBytes(position: Position): Buffer {
  const bytes = Buffer.from(position, 'utf8');
  invariant(bytes.length <= MAX_POSITION_BYTES, 'A position is longer than the spool can hold');
  return bytes;
}
