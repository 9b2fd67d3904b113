/** What a server answers to options ("Option reply types"). */
import type { BlockSizes } from '../../kernel/protect/volume.ts';
import { INFO, OPTION_REPLY_HEADER_BYTES, OPTION_REPLY_MAGIC } from './protocol.ts';

/** The number of the one metadata context there is. */
export const ALLOCATION_ID = 1;

export function optionReply(option: number, type: number, data: Buffer): Buffer {
  const reply = Buffer.allocUnsafe(OPTION_REPLY_HEADER_BYTES + data.length);
  reply.writeBigUInt64BE(OPTION_REPLY_MAGIC, 0);
  reply.writeUInt32BE(option, 8);
  reply.writeUInt32BE(type, 12);
  reply.writeUInt32BE(data.length, 16);
  data.copy(reply, OPTION_REPLY_HEADER_BYTES);
  return reply;
}

/** NBD_REP_SERVER. */
export function serverReply(name: string, description = ''): Buffer {
  const length = Buffer.allocUnsafe(4);
  length.writeUInt32BE(Buffer.byteLength(name), 0);
  return Buffer.concat([length, Buffer.from(name), Buffer.from(description)]);
}

/** NBD_INFO_EXPORT. */
export function exportInfo(size: number, flags: number): Buffer {
  const info = Buffer.allocUnsafe(12);
  info.writeUInt16BE(INFO.export, 0);
  info.writeBigUInt64BE(BigInt(size), 2);
  info.writeUInt16BE(flags, 10);
  return info;
}

/** NBD_INFO_NAME or NBD_INFO_DESCRIPTION. */
export function nameInfo(type: number, text: string): Buffer {
  const head = Buffer.allocUnsafe(2);
  head.writeUInt16BE(type, 0);
  return Buffer.concat([head, Buffer.from(text)]);
}

/** NBD_INFO_BLOCK_SIZE. */
export function sizeInfo({ least, preferred, most }: BlockSizes): Buffer {
  const info = Buffer.allocUnsafe(14);
  info.writeUInt16BE(INFO.blockSize, 0);
  info.writeUInt32BE(least, 2);
  info.writeUInt32BE(preferred, 6);
  info.writeUInt32BE(most, 10);
  return info;
}

/** NBD_REP_META_CONTEXT; in a mere list the number means nothing. */
export function metaContextReply(chosen: boolean, name: string): Buffer {
  const id = Buffer.allocUnsafe(4);
  id.writeUInt32BE(chosen ? ALLOCATION_ID : 0, 0);
  return Buffer.concat([id, Buffer.from(name)]);
}
