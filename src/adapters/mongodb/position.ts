import { Timestamp } from 'bson';
import { POSITION_ZERO, type Position } from '../../kernel/position.ts';

/**
 * An oplog timestamp (seconds, ordinal) as a position: sixteen hexadecimal
 * digits, so that string order is timestamp order.
 */
export function positionOf(seconds: number, ordinal: number): Position {
  return (hex8(seconds) + hex8(ordinal)) as Position;
}

function hex8(value: number): string {
  return (value >>> 0).toString(16).padStart(8, '0');
}

/** Reads a raw BSON timestamp (ordinal first, both little-endian) as a position. */
export function readPosition(buf: Buffer, offset: number): Position {
  return positionOf(buf.readUInt32LE(offset + 4), buf.readUInt32LE(offset));
}

/** The BSON timestamp of a position made by this module. */
export function timestampOf(position: Position): Timestamp {
  return new Timestamp({ t: Number.parseInt(position.slice(0, 8), 16), i: Number.parseInt(position.slice(8), 16) });
}

/** The position of a BSON timestamp, as drivers give it. */
export function positionOfTimestamp(ts: { t: number; i: number }): Position {
  return positionOf(ts.t, ts.i);
}

/** Seconds since the epoch of a position. */
export function secondsOf(position: Position): number {
  return position === '' ? 0 : Number.parseInt(position.slice(0, 8), 16);
}

/** The first position of a second since the epoch. */
export function positionAtSecond(seconds: number): Position {
  return positionOf(Math.max(0, Math.floor(seconds)), 0);
}

/** The last position that could lie before this one; nothing lies before the first. */
export function positionBefore(position: Position): Position {
  if (position <= FIRST) return POSITION_ZERO;
  const seconds = Number.parseInt(position.slice(0, 8), 16);
  const ordinal = Number.parseInt(position.slice(8), 16);
  return ordinal > 0 ? positionOf(seconds, ordinal - 1) : positionOf(seconds - 1, 0xffffffff);
}

const FIRST = positionOf(0, 0);

/** A position as the server shows a cluster time: seconds and ordinal. */
export function clusterTime(position: Position): { t: number; i: number } {
  const { t, i } = timestampOf(position);
  return { t, i };
}
