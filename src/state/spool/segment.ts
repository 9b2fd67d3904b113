import { type FileHandle, open, readdir, unlink } from 'node:fs/promises';
import { basename, join } from 'node:path';
import type { Position } from '../../kernel/position.ts';
import { FILE_MODE, syncDir } from '../run-dir.ts';
import { decodeSegmentHeader, encodeSegmentHeader, MAX_HEADER_BYTES, type SegmentHeader } from './format.ts';

/** One file of the spool as this process knows it. Only the spool changes it. */
export interface Segment {
  readonly id: number;
  readonly path: string;
  /** Position just before the first block. */
  readonly after: Position;
  /** Where the blocks begin. */
  readonly start: number;
  /** Bytes that hold whole blocks; readers go no further. */
  size: number;
  /** Position of the last entry; `after` while there is none. */
  last: Position;
  /** Readers that are in it now; it is not unlinked meanwhile. */
  readers: number;
}

const NAME = /^(\d{8,})\.seg$/;

/** The ids of the segment files in a folder, ascending. Other files are left alone. */
export async function segmentIds(dir: string): Promise<number[]> {
  const ids: number[] = [];
  for (const name of await readdir(dir)) {
    const match = NAME.exec(name);
    if (match) ids.push(Number(match[1]));
  }
  return ids.sort((a, b) => a - b);
}

export function segmentPath(dir: string, id: number): string {
  return join(dir, `${String(id).padStart(8, '0')}.seg`);
}

/**
 * Makes a segment whose name and header are durable before any block goes in:
 * so every segment that holds a block, or that `trim` counts on, has a header.
 */
export async function createSegment(
  dir: string,
  id: number,
  after: Position,
): Promise<{ segment: Segment; handle: FileHandle }> {
  const path = segmentPath(dir, id);
  const header = encodeSegmentHeader(after);
  const handle = await open(path, 'wx+', FILE_MODE);
  try {
    await writeFully(handle, [header], 0);
    await handle.datasync();
    syncDir(dir);
  } catch (error) {
    await handle.close();
    await unlink(path);
    throw error;
  }
  return { segment: { id, path, after, start: header.length, size: header.length, last: after, readers: 0 }, handle };
}

/** Reads the header of a segment file, and how long the file is. */
export async function inspectSegment(path: string): Promise<{ header: SegmentHeader | 'torn'; fileBytes: number }> {
  const handle = await open(path, 'r');
  try {
    const { size } = await handle.stat();
    const bytes = Buffer.alloc(Math.min(size, MAX_HEADER_BYTES));
    const { bytesRead } = await handle.read(bytes, 0, bytes.length, 0);
    return { header: decodeSegmentHeader(bytes.subarray(0, bytesRead), basename(path)), fileBytes: size };
  } finally {
    await handle.close();
  }
}

/** Writes all of the parts at `at`: one pwritev, unless the kernel takes less at once. */
export async function writeFully(handle: FileHandle, parts: readonly Buffer[], at: number): Promise<void> {
  let rest = parts.filter((part) => part.length > 0);
  let position = at;
  while (rest.length > 0) {
    let { bytesWritten } = await handle.writev(rest, position);
    position += bytesWritten;
    const left: Buffer[] = [];
    for (const part of rest) {
      if (bytesWritten < part.length) left.push(part.subarray(bytesWritten));
      bytesWritten = Math.max(0, bytesWritten - part.length);
    }
    rest = left;
  }
}
