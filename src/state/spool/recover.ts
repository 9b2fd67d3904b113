import { fdatasyncSync, ftruncateSync } from 'node:fs';
import { type FileHandle, mkdir, open, unlink } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { GodwitError } from '../../kernel/errors.ts';
import { POSITION_ZERO } from '../../kernel/position.ts';
import { DIR_MODE, syncDir } from '../run-dir.ts';
import { BlockReader, type Cursor } from './block-reader.ts';
import { damaged } from './format.ts';
import { createSegment, inspectSegment, type Segment, segmentIds, segmentPath } from './segment.ts';

/** What `Spool.open` starts from. */
export interface Recovered {
  readonly segments: Segment[];
  /** The newest segment, open for writing. */
  readonly handle: FileHandle;
  /** Bytes cut off the newest segment because a crash tore them. */
  readonly tornBytes: number;
}

const CHECK_STEP_BYTES = 4 * 1024 * 1024;

/**
 * Brings a spool folder into order after any crash. Older segments were synced
 * before their successor was made, so they are whole and only their headers are
 * read now (their blocks are checked when read). The newest is checked to its
 * end and cut where the first block is not whole.
 */
export async function recover(dir: string): Promise<Recovered> {
  await mkdir(dir, { recursive: true, mode: DIR_MODE });
  syncDir(dirname(dir));
  const ids = await segmentIds(dir);
  const segments: Segment[] = [];
  for (const [i, id] of ids.entries()) {
    const path = segmentPath(dir, id);
    const previous = segments.at(-1);
    if (previous !== undefined && id !== previous.id + 1)
      throw damaged(basename(path), 0, 'the segment before it is missing');
    const { header, fileBytes } = await inspectSegment(path);
    if (header === 'torn') {
      // Only its creation can have been cut short, and then nothing counts on it yet.
      if (i < ids.length - 1 || (previous === undefined && id > 1))
        throw damaged(basename(path), 0, 'its header is cut off');
      await unlink(path);
      break;
    }
    if (previous !== undefined) {
      if (header.after < previous.after) throw damaged(basename(path), 0, 'it does not follow the segment before it');
      previous.last = header.after;
    }
    segments.push({
      id,
      path,
      after: header.after,
      start: header.bytes,
      size: fileBytes,
      last: header.after,
      readers: 0,
    });
  }
  const newest = segments.at(-1);
  if (newest === undefined) {
    const { segment, handle } = await createSegment(dir, 1, POSITION_ZERO);
    return { segments: [segment], handle, tornBytes: 0 };
  }
  const handle = await open(newest.path, 'r+');
  try {
    return { segments, handle, tornBytes: await cutTornEnd(newest, handle) };
  } catch (error) {
    await handle.close();
    throw error;
  }
}

/** Checks the whole segment, sets its size and last position, and returns how many bytes were cut off. */
async function cutTornEnd(segment: Segment, handle: FileHandle): Promise<number> {
  const reader = new BlockReader(CHECK_STEP_BYTES);
  let cursor: Cursor = { offset: segment.start, last: segment.after };
  while (cursor.offset < segment.size) {
    const step = await reader.step(handle, segment, cursor, POSITION_ZERO);
    if (step.damage !== undefined) break;
    cursor = step.cursor;
  }
  const tornBytes = segment.size - cursor.offset;
  segment.size = cursor.offset;
  segment.last = cursor.last;
  if (tornBytes > 0) {
    ftruncateSync(handle.fd, segment.size);
    fdatasyncSync(handle.fd);
  }
  return tornBytes;
}

/** A reader asked for entries that `trim` let go: going on would leave a hole. */
export function trimmedAway(asked: string, begins: string): GodwitError {
  return new GodwitError(
    'GW4002',
    `The spool begins after ${begins}; the changes after ${asked || 'the beginning'} are gone from it`,
    {
      details: { asked, begins },
    },
  );
}
