/**
 * The shared area as one stretch of bytes, whoever writes it: a head in two slots, the
 * primary's state table, and the ring of blocks.
 *
 * The table has a row for each operation that may be in the ring, at its sequence modulo the rows:
 *
 *    0 crc u32 of all that follows    4 state u32       8 sequence u64
 *   16 place of its block u64        24 crc of its record u32, 4 bytes of nothing
 */
import { crc32 } from 'node:zlib';
import type { Area } from '../../../kernel/protect/ports.ts';
import { Part } from './area-parts.ts';
import type { OpRecord } from './record.ts';
import { BEGINNING, type Point } from './ring.ts';
import { SUPERBLOCK_BYTES } from './superblock.ts';

export interface AreaHead {
  readonly volume: number;
  /** Who leads in it has written this. */
  readonly epoch: number;
  /** The ring is read from here on. */
  readonly tail: Point;
  /** Everything up to here is whole, whatever happens. */
  readonly flushed: Point;
  /** The epoch of the operation that `flushed` is the end of; 0 where the primary does not know it any more. */
  readonly lastEpoch: number;
}

export const NO_HEAD: AreaHead = { volume: 0, epoch: 0, tail: BEGINNING, flushed: BEGINNING, lastEpoch: 0 };

/** What is known of an operation. Its data is queued while it is neither sent nor stored. */
export const STATE = { ordered: 1, sent: 2, stored: 4 } as const;

export interface StateRow {
  readonly state: number;
  readonly sequence: number;
  readonly crc: number;
}

export const ROW_BYTES = 32;
const PAGE = 4096;

/** Bytes of head and table; the ring follows. */
export function tableBytes(rows: number): number {
  return SUPERBLOCK_BYTES + Math.ceil((rows * ROW_BYTES) / PAGE) * PAGE;
}

export interface AreaParts {
  readonly head: Area;
  readonly table: Area;
}

export function partsOf(area: Area, rows: number): AreaParts {
  return {
    head: new Part(area, 0, SUPERBLOCK_BYTES),
    table: new Part(area, SUPERBLOCK_BYTES, rows * ROW_BYTES),
  };
}

export function encodeRow(record: OpRecord, state: number, into: Buffer, at: number): void {
  into.writeUInt32LE(state, at + 4);
  into.writeBigUInt64LE(BigInt(record.sequence), at + 8);
  into.writeBigUInt64LE(BigInt(record.place), at + 16);
  into.writeUInt32LE(record.crc, at + 24);
  into.writeUInt32LE(0, at + 28);
  into.writeUInt32LE(crc32(into.subarray(at + 4, at + ROW_BYTES)), at);
}

/** Nothing where there is none, or a half-written one. */
export function decodeRow(from: Buffer, at: number): StateRow | undefined {
  if (from.readUInt32LE(at) !== crc32(from.subarray(at + 4, at + ROW_BYTES))) return undefined;
  return {
    state: from.readUInt32LE(at + 4),
    sequence: Number(from.readBigUInt64LE(at + 8)),
    crc: from.readUInt32LE(at + 24),
  };
}
