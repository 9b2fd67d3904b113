/**
 * Messages as frames: the length of the text (32 bits), JSON, then the buffers. Those that
 * are many, on the synchronous lane and the data lane, have a form of their own: there 20
 * bytes more are a percent of a block.
 */
import type { Message, MessageOf } from '../engine/messages.ts';

/** First byte of a frame. */
const TEXT = 0;
const ORDER = 1;
const ORDERED = 2;
const DATA = 3;
const STORED = 4;

const MARK_BYTES = 12;
const POINT_BYTES = 20;

/** The parts of a frame, to be sent one after the other. */
export function encodeMessage(message: Message): Buffer[] {
  switch (message.type) {
    case 'order':
      return message.restart === undefined ? encodeOrder(message) : encodeText(message);
    case 'ordered':
      return [encodeOrdered(message)];
    case 'data':
      return encodeData(message);
    case 'stored':
      return [encodeStored(message)];
    default:
      return encodeText(message);
  }
}

/** @throws RangeError, SyntaxError when it is no message; its buffers are views of the frame */
export function decodeMessage(frame: Buffer): Message {
  switch (frame[0]) {
    case ORDER:
      return {
        type: 'order',
        epoch: number(frame, 1),
        settled: mark(frame, 9),
        records: frame.subarray(9 + MARK_BYTES),
      };
    case ORDERED: {
      const flags = frame[9 + 2 * POINT_BYTES] as number;
      return {
        type: 'ordered',
        epoch: number(frame, 1),
        last: point(frame, 9),
        released: point(frame, 9 + POINT_BYTES),
        missing: (flags & 1) !== 0,
        stale: (flags & 2) !== 0,
      };
    }
    case DATA:
      return { type: 'data', epoch: number(frame, 1), ...mark(frame, 9), payload: frame.subarray(9 + MARK_BYTES) };
    case STORED: {
      const blocks = [];
      for (let at = 17; at + MARK_BYTES <= frame.length; at += MARK_BYTES) blocks.push(mark(frame, at));
      return { type: 'stored', epoch: number(frame, 1), released: number(frame, 9), blocks };
    }
    default:
      return decodeText(frame);
  }
}

function head(type: number, epoch: number, bytes: number): Buffer {
  const out = Buffer.allocUnsafe(9 + bytes);
  out[0] = type;
  out.writeDoubleLE(epoch, 1);
  return out;
}

function encodeOrder({ epoch, settled, records }: MessageOf<'order'>): Buffer[] {
  const out = head(ORDER, epoch, MARK_BYTES);
  putMark(out, 9, settled);
  return [out, records];
}

function encodeOrdered({ epoch, last, released, missing, stale }: MessageOf<'ordered'>): Buffer {
  const out = head(ORDERED, epoch, 2 * POINT_BYTES + 1);
  putPoint(out, 9, last);
  putPoint(out, 9 + POINT_BYTES, released);
  out[9 + 2 * POINT_BYTES] = (missing ? 1 : 0) | (stale ? 2 : 0);
  return out;
}

function encodeData({ epoch, sequence, crc, payload }: MessageOf<'data'>): Buffer[] {
  const out = head(DATA, epoch, MARK_BYTES);
  putMark(out, 9, { sequence, crc });
  return [out, payload];
}

function encodeStored({ epoch, released, blocks }: MessageOf<'stored'>): Buffer {
  const out = head(STORED, epoch, 8 + blocks.length * MARK_BYTES);
  out.writeDoubleLE(released, 9);
  blocks.forEach((block, i) => {
    putMark(out, 17 + i * MARK_BYTES, block);
  });
  return out;
}

function encodeText(message: Message): Buffer[] {
  const parts: Buffer[] = [];
  const sizes: number[] = [];
  const take = (buffer: Buffer) => {
    parts.push(buffer);
    sizes.push(buffer.length);
    return { part: sizes.length - 1 };
  };
  const plain: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(message)) {
    if (Buffer.isBuffer(value)) plain[name] = take(value);
    else if (name === 'blocks' && Array.isArray(value)) plain[name] = (value as Buffer[]).map(take);
    else plain[name] = value;
  }
  const text = Buffer.from(JSON.stringify({ message: plain, sizes }));
  const out = Buffer.allocUnsafe(5);
  out[0] = TEXT;
  out.writeUInt32LE(text.length, 1);
  return [out, text, ...parts];
}

function decodeText(frame: Buffer): Message {
  const length = frame.readUInt32LE(1);
  const { message, sizes } = JSON.parse(frame.toString('utf8', 5, 5 + length)) as {
    message: Record<string, unknown>;
    sizes: number[];
  };
  const parts: Buffer[] = [];
  let at = 5 + length;
  for (const size of sizes) {
    if (at + size > frame.length) throw new RangeError('a frame ends too early');
    parts.push(frame.subarray(at, at + size));
    at += size;
  }
  const put = (value: unknown): unknown => {
    if (Array.isArray(value)) return value.map(put);
    const part = (value as { part?: number } | null)?.part;
    return typeof part === 'number' ? parts[part] : value;
  };
  return Object.fromEntries(Object.entries(message).map(([name, value]) => [name, put(value)])) as Message;
}

function number(frame: Buffer, at: number): number {
  return frame.readDoubleLE(at);
}

function mark(frame: Buffer, at: number): { sequence: number; crc: number } {
  return { sequence: number(frame, at), crc: frame.readUInt32LE(at + 8) };
}

function putMark(out: Buffer, at: number, { sequence, crc }: { sequence: number; crc: number }): void {
  out.writeDoubleLE(sequence, at);
  out.writeUInt32LE(crc, at + 8);
}

function point(frame: Buffer, at: number): { sequence: number; crc: number; place: number } {
  return { ...mark(frame, at), place: number(frame, at + MARK_BYTES) };
}

function putPoint(out: Buffer, at: number, point: { sequence: number; crc: number; place: number }): void {
  putMark(out, at, point);
  out.writeDoubleLE(point.place, at + MARK_BYTES);
}
