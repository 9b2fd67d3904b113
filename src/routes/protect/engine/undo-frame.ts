/**
 * A frame of the undo log: what a batch of operations replaced in the image, as it was before the first of them.
 *
 *    0 crc u32 of the head's rest   4 format u8    5 flags u8 (1: its last operation goes on in the next frame)
 *    8 pieces u32                  12 body bytes u32
 *   16 number f64                  24 place f64
 *   32 hash of the body u64        40 crc of the frame before u32
 *   44 reserved                    48 last sequence f64       56 latest time f64, microseconds
 *
 * Each piece is the record of its operation (64 bytes), offset f64, length u32, flags u32 (1: all
 * zeroes, 2: the operation's last piece), and the bytes, which are left out where they are zeroes.
 */
import { crc32 } from 'node:zlib';
import { decodeRecord, encodeRecord, hashOf, type OpRecord, RECORD_BYTES } from './record.ts';

export const FRAME_HEAD = 64;
const PIECE_HEAD = RECORD_BYTES + 16;
const FORMAT = 1;
const OPEN = 1;
const ZEROES = 1;
const LAST = 2;

/** A stretch of the image as it was before an operation. */
export interface Piece {
  readonly record: OpRecord;
  readonly offset: number;
  readonly length: number;
  /** Nothing: zeroes, or no bytes at all. */
  readonly bytes: Buffer | undefined;
  /** Nothing more of its operation follows. */
  readonly isLast: boolean;
}

export interface FrameHead {
  readonly crc: number;
  readonly number: number;
  readonly place: number;
  readonly before: number;
  readonly bytes: number;
  readonly hash: bigint;
  /** Of the last operation that it has something of. */
  readonly lastSequence: number;
  readonly latest: number;
  readonly isOpen: boolean;
}

export function pieceBytes({ bytes }: Pick<Piece, 'bytes'>): number {
  return PIECE_HEAD + (bytes?.length ?? 0);
}

export function encodeFrame(
  pieces: readonly Piece[],
  { number, place, before }: Pick<FrameHead, 'number' | 'place' | 'before'>,
): { readonly frame: Buffer; readonly head: FrameHead } {
  const length = pieces.reduce((sum, piece) => sum + pieceBytes(piece), 0);
  const frame = Buffer.alloc(FRAME_HEAD + length);
  let at = FRAME_HEAD;
  for (const { record, offset, length: size, bytes, isLast } of pieces) {
    encodeRecord(record, frame, at);
    frame.writeDoubleLE(offset, at + 64);
    frame.writeUInt32LE(size, at + 72);
    frame.writeUInt32LE((bytes === undefined ? ZEROES : 0) | (isLast ? LAST : 0), at + 76);
    bytes?.copy(frame, at + PIECE_HEAD);
    at += PIECE_HEAD + (bytes?.length ?? 0);
  }
  const final = pieces.at(-1) as Piece;
  frame[4] = FORMAT;
  frame[5] = final.isLast ? 0 : OPEN;
  frame.writeUInt32LE(pieces.length, 8);
  frame.writeUInt32LE(length, 12);
  frame.writeDoubleLE(number, 16);
  frame.writeDoubleLE(place, 24);
  frame.writeBigUInt64LE(hashOf(frame.subarray(FRAME_HEAD)), 32);
  frame.writeUInt32LE(before, 40);
  frame.writeDoubleLE(final.record.sequence, 48);
  frame.writeDoubleLE(
    pieces.reduce((latest, { record }) => Math.max(latest, record.time), 0),
    56,
  );
  frame.writeUInt32LE(crc32(frame.subarray(4, FRAME_HEAD)), 0);
  return { frame, head: decodeHead(frame) as FrameHead };
}

export function decodeHead(frame: Buffer): FrameHead | undefined {
  if (frame[4] !== FORMAT || crc32(frame.subarray(4, FRAME_HEAD)) !== frame.readUInt32LE(0)) return undefined;
  return {
    crc: frame.readUInt32LE(0),
    number: frame.readDoubleLE(16),
    place: frame.readDoubleLE(24),
    before: frame.readUInt32LE(40),
    bytes: FRAME_HEAD + frame.readUInt32LE(12),
    hash: frame.readBigUInt64LE(32),
    lastSequence: frame.readDoubleLE(48),
    latest: frame.readDoubleLE(56),
    isOpen: ((frame[5] as number) & OPEN) !== 0,
  };
}

/** The pieces of a whole frame; nothing when it is not whole. */
export function decodePieces(head: FrameHead, body: Buffer): readonly Piece[] | undefined {
  if (hashOf(body) !== head.hash) return undefined;
  const pieces: Piece[] = [];
  for (let at = 0; at + PIECE_HEAD <= body.length; ) {
    const record = decodeRecord(body, at);
    if (record === undefined) return undefined;
    const length = body.readUInt32LE(at + 72);
    const flags = body.readUInt32LE(at + 76);
    const isZero = (flags & ZEROES) !== 0;
    const start = at + PIECE_HEAD;
    const bytes = isZero ? undefined : body.subarray(start, start + length);
    pieces.push({ record, offset: body.readDoubleLE(at + 64), length, bytes, isLast: (flags & LAST) !== 0 });
    at = start + (isZero ? 0 : length);
  }
  return pieces;
}
