/**
 * The order of one operation, in 64 bytes (little-endian). It is all that crosses
 * the far link before a write is acknowledged.
 *
 *    0 crc u32 of all that follows    4 format u8    5 kind u8    6 flags u16
 *    8 epoch u32                     12 length u32
 *   16 sequence u64                  24 offset u64
 *   32 hash of the payload u64       40 time u64, microseconds
 *   48 place in the ring u64         56 crc of the record before u32   60 volume u32
 *
 * The crc of the record before makes the order a chain: two histories that agree
 * in one record agree in all before it. The place in the ring never wraps, so that
 * a block of an earlier lap is never taken for one of this lap.
 */
import { crc32 } from 'node:zlib';
import xxhash from '@node-rs/xxhash';
import { invariant } from '../../../kernel/errors.ts';

export const RECORD_BYTES = 64;
const FORMAT = 1;

/** In the order of their numbers. A number is never used for anything else. */
const KINDS = ['none', 'write', 'zeroes', 'trim', 'flush', 'mode', 'epoch', 'resync', 'grow'] as const;

/**
 * - `resync`: a write of what is there already, for a DR that has missed it;
 * - `mode`: from here on other copies are needed for an acknowledgement; `offset` says which;
 * - `grow`: from here on the volume has `offset` bytes;
 * - `epoch`: the first record of whoever leads in this epoch.
 */
export type Kind = Exclude<(typeof KINDS)[number], 'none'>;

export const FLAG = { fua: 1, mayTrim: 2 } as const;

export interface OpRecord {
  readonly kind: Kind;
  readonly flags: number;
  readonly epoch: number;
  readonly sequence: number;
  readonly offset: number;
  readonly length: number;
  /** Of the payload; 0 where there is none. */
  readonly hash: bigint;
  /** Microseconds since 1970, for people. */
  readonly time: number;
  /** Where its block begins in the ring, counted without end. */
  readonly place: number;
  /** Its crc, by which the next record names it. */
  readonly crc: number;
  readonly before: number;
  readonly volume: number;
}

export function hasPayload(kind: Kind): boolean {
  return kind === 'write' || kind === 'resync';
}

/** Whether it changes the image. */
export function changesImage(kind: Kind): boolean {
  return hasPayload(kind) || kind === 'zeroes' || kind === 'trim';
}

/** Bytes of the block in the ring: record, payload, and padding to the next record. */
export function blockBytes(record: Pick<OpRecord, 'kind' | 'length'>): number {
  if (!hasPayload(record.kind)) return RECORD_BYTES;
  return RECORD_BYTES + Math.ceil(record.length / RECORD_BYTES) * RECORD_BYTES;
}

export function hashOf(payload: Buffer): bigint {
  return xxhash.xxh3.xxh64(payload);
}

/** Writes the record at `at` and returns it with its crc. */
export function encodeRecord(fields: Omit<OpRecord, 'crc'>, into: Buffer, at = 0): OpRecord {
  invariant(Number.isSafeInteger(fields.sequence) && fields.sequence > 0, 'A sequence is out of range');
  into.writeUInt8(FORMAT, at + 4);
  into.writeUInt8(KINDS.indexOf(fields.kind), at + 5);
  into.writeUInt16LE(fields.flags, at + 6);
  into.writeUInt32LE(fields.epoch, at + 8);
  into.writeUInt32LE(fields.length, at + 12);
  writeSafe(into, fields.sequence, at + 16);
  writeSafe(into, fields.offset, at + 24);
  into.writeBigUInt64LE(fields.hash, at + 32);
  writeSafe(into, fields.time, at + 40);
  writeSafe(into, fields.place, at + 48);
  into.writeUInt32LE(fields.before, at + 56);
  into.writeUInt32LE(fields.volume, at + 60);
  const crc = crc32(into.subarray(at + 4, at + RECORD_BYTES));
  into.writeUInt32LE(crc, at);
  return { ...fields, crc };
}

/** The record at `at`; nothing where there is none, or a damaged one. */
export function decodeRecord(from: Buffer, at = 0): OpRecord | undefined {
  if (from.length < at + RECORD_BYTES) return undefined;
  const crc = from.readUInt32LE(at);
  if (from[at + 4] !== FORMAT || crc32(from.subarray(at + 4, at + RECORD_BYTES)) !== crc) return undefined;
  const kind = KINDS[from[at + 5] as number];
  if (kind === undefined || kind === 'none') return undefined;
  return {
    kind,
    flags: from.readUInt16LE(at + 6),
    epoch: from.readUInt32LE(at + 8),
    length: from.readUInt32LE(at + 12),
    sequence: readSafe(from, at + 16),
    offset: readSafe(from, at + 24),
    hash: from.readBigUInt64LE(at + 32),
    time: readSafe(from, at + 40),
    place: readSafe(from, at + 48),
    crc,
    before: from.readUInt32LE(at + 56),
    volume: from.readUInt32LE(at + 60),
  };
}

function writeSafe(into: Buffer, value: number, at: number): void {
  invariant(Number.isSafeInteger(value) && value >= 0, 'A number of a record is out of range');
  into.writeUInt32LE(value % 2 ** 32, at);
  into.writeUInt32LE(Math.floor(value / 2 ** 32), at + 4);
}

function readSafe(from: Buffer, at: number): number {
  return from.readUInt32LE(at) + from.readUInt32LE(at + 4) * 2 ** 32;
}
