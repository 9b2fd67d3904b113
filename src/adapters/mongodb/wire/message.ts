/**
 * OP_MSG, the one message of MongoDB's wire protocol since 3.6
 * (specifications/source/message/OP_MSG.md): a header of four int32, flags,
 * one body document (kind 0) and document sequences (kind 1).
 */
import { GodwitError } from '../../../kernel/errors.ts';
import { docLength, readInt32 } from '../bson/walk.ts';

export const HEADER_SIZE = 16;
const OP_MSG = 2013;

export const FLAG = {
  /** A CRC-32C follows the sections. */
  checksumPresent: 1,
  /** More messages follow without being asked for; in a request: no reply is wanted. */
  moreToCome: 2,
  /** The sender takes several replies to one request. */
  exhaustAllowed: 1 << 16,
} as const;

/** Bodies up to this size are copied next to the header, to write one piece less. */
const INLINE_BODY = 16 * 1024;

/** Documents, back to back, that stand for an array field of the command. */
export interface DocumentSequence {
  /** The field: `documents`, `updates` or `deletes`. */
  readonly identifier: string;
  readonly bytes: Buffer | readonly Buffer[];
}

let lastRequestId = 0;

/** Request ids are positive int32 and wrap round. */
function nextRequestId(): number {
  lastRequestId = lastRequestId >= 0x7fff_ffff ? 1 : lastRequestId + 1;
  return lastRequestId;
}

/** The id of a message made by `buildMessage`. */
export function requestIdOf(message: readonly Buffer[]): number {
  return readInt32(message[0]!, 4);
}

/** Frames a request. The pieces are to be written in order; large ones are the caller's own bytes. */
export function buildMessage(body: Buffer, sequence?: DocumentSequence, flags = 0): Buffer[] {
  const pieces: readonly Buffer[] = sequence === undefined ? [] : toPieces(sequence.bytes);
  let payload = 0;
  for (const piece of pieces) payload += piece.length;

  const inline = body.length <= INLINE_BODY;
  const identifier = sequence === undefined ? undefined : Buffer.from(`${sequence.identifier}\0`, 'utf8');
  const sequenceHeader = identifier === undefined ? 0 : 1 + 4 + identifier.length;
  const total = HEADER_SIZE + 4 + 1 + body.length + sequenceHeader + payload;

  const head = Buffer.allocUnsafe(HEADER_SIZE + 4 + 1 + (inline ? body.length + sequenceHeader : 0));
  head.writeInt32LE(total, 0);
  head.writeInt32LE(nextRequestId(), 4);
  head.writeInt32LE(0, 8);
  head.writeInt32LE(OP_MSG, 12);
  head.writeUInt32LE(flags, HEADER_SIZE);
  head[HEADER_SIZE + 4] = 0;
  const out: Buffer[] = [head];
  let middle: Buffer = head;
  let at = HEADER_SIZE + 5;
  if (inline) {
    body.copy(head, at);
    at += body.length;
  } else {
    out.push(body);
    middle = Buffer.allocUnsafe(sequenceHeader);
    at = 0;
    if (sequenceHeader > 0) out.push(middle);
  }
  if (identifier !== undefined) {
    middle[at] = 1;
    middle.writeInt32LE(4 + identifier.length + payload, at + 1);
    identifier.copy(middle, at + 5);
  }
  for (const piece of pieces) if (piece.length > 0) out.push(piece);
  return out;
}

function toPieces(bytes: Buffer | readonly Buffer[]): readonly Buffer[] {
  return Buffer.isBuffer(bytes) ? [bytes] : (bytes as readonly Buffer[]);
}

/** A message taken apart; `body` is a view of it. */
export interface ParsedMessage {
  readonly requestId: number;
  readonly responseTo: number;
  readonly flags: number;
  readonly body: Buffer;
}

/** Takes a whole message apart. `message` may lie in a larger buffer; only its own length is read. */
export function parseMessage(message: Buffer): ParsedMessage {
  const length = readInt32(message, 0);
  const opCode = readInt32(message, 12);
  if (opCode !== OP_MSG || length > message.length) {
    throw new GodwitError('GW3001', `The peer sent a message that is not OP_MSG (opcode ${opCode})`);
  }
  const flags = message.readUInt32LE(HEADER_SIZE);
  const end = flags & FLAG.checksumPresent ? length - 4 : length;
  let at = HEADER_SIZE + 4;
  while (at + 5 <= end) {
    const kind = message[at]!;
    if (kind === 0) {
      const bodyEnd = at + 1 + docLength(message, at + 1);
      if (bodyEnd > end) break;
      return {
        requestId: readInt32(message, 4),
        responseTo: readInt32(message, 8),
        flags,
        body: message.subarray(at + 1, bodyEnd),
      };
    }
    const size = readInt32(message, at + 1);
    if (kind !== 1 || size < 4) break;
    at += 1 + size;
  }
  throw new GodwitError('GW3001', 'The peer sent a message without a body');
}
