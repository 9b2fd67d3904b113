import { promisify } from 'node:util';
import * as zlib from 'node:zlib';
import { compressZstd, decompressZstd } from './zstd.ts';

export const COMPRESSIONS = ['none', 'gzip', 'zstd'] as const;
export type Compression = (typeof COMPRESSIONS)[number];

/** What mongodump's files end with; `.zst` is ours, no tool of MongoDB reads it. */
export const SUFFIX: Readonly<Record<Compression, string>> = { none: '', gzip: '.gz', zstd: '.zst' };

const gzip = promisify(zlib.gzip);
const gunzip = promisify(zlib.gunzip);
/** What mongodump uses. */
const GZIP_LEVEL = 6;

/**
 * Compresses a block by itself: members and frames that follow each other are
 * one valid file, and each can be read without those before it.
 */
export function compressBlock(compression: Compression, block: Buffer): Promise<Buffer> {
  if (compression === 'gzip') return gzip(block, { level: GZIP_LEVEL });
  if (compression === 'zstd') return compressZstd(block);
  return Promise.resolve(block);
}

/** What `compressBlock` made, or several of them in a row; throws when they are damaged. */
export function decompressBlock(compression: Compression, block: Buffer): Promise<Buffer> {
  if (compression === 'gzip') return gunzip(block);
  if (compression === 'zstd') return decompressZstd(block);
  return Promise.resolve(block);
}

const GZIP_MAGIC = 0x8b1f;
const ZSTD_MAGIC = 0xfd2fb528;

/** How a file is compressed, by its first bytes. */
export function compressionOf(head: Buffer): Compression {
  if (head.length >= 2 && head.readUInt16LE(0) === GZIP_MAGIC) return 'gzip';
  if (head.length >= 4 && head.readUInt32LE(0) === ZSTD_MAGIC) return 'zstd';
  return 'none';
}
