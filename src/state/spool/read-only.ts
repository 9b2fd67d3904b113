/** A spool that another process may be writing, looked at without touching it. */
import { type FileHandle, open } from 'node:fs/promises';
import { basename } from 'node:path';
import type { LogBlock } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import { guardedAsync } from '../failures.ts';
import { BlockReader, type Cursor } from './block-reader.ts';
import { damaged } from './format.ts';
import { trimmedAway } from './recover.ts';
import { inspectSegment, type Segment, segmentIds, segmentPath } from './segment.ts';

/** What a spool holds now: every entry after `after` up to `end`. */
export interface SpoolBounds {
  readonly after: Position;
  readonly end: Position;
  readonly bytes: number;
  readonly segments: number;
}

const STEP_BYTES = 4 * 1024 * 1024;

/** Undefined when there is no spool in the folder, or none that was begun. */
export async function spoolBounds(dir: string): Promise<SpoolBounds | undefined> {
  const segments = await listSegments(dir);
  const [oldest, newest] = [segments[0], segments.at(-1)];
  if (!oldest || !newest) return undefined;
  let end = newest.after;
  for await (const block of blocksOf(newest, newest.after, undefined)) end = block.last;
  const bytes = segments.reduce((sum, segment) => sum + segment.size, 0);
  return { after: oldest.after, end, bytes, segments: segments.length };
}

/**
 * Gives the blocks after `after` that are whole now, and ends. A block that
 * lies partly at or before `after` is given whole. Its bytes are valid until
 * the next is asked for. Throws GW4002 for damage, for a hole, and when `after`
 * is before what is kept.
 */
export async function* readSpool(dir: string, after: Position): AsyncGenerator<LogBlock, void, undefined> {
  const segments = await listSegments(dir);
  const oldest = segments[0];
  if (oldest === undefined) return;
  if (after < oldest.after) throw trimmedAway(after, oldest.after);
  for (const [i, segment] of segments.entries()) {
    const next = segments[i + 1];
    // What ends where the next begins has nothing for us.
    if (next !== undefined && next.after <= after) continue;
    yield* blocksOf(segment, after, next?.after);
  }
}

/** Segments in order, as long as each follows the one before; the sizes are those of this moment. */
async function listSegments(dir: string): Promise<Segment[]> {
  for (;;) {
    const ids = await segmentIds(dir).catch((error: NodeJS.ErrnoException) => {
      if (isGone(error)) return [];
      throw error;
    });
    try {
      return await inspectAll(dir, ids);
    } catch (error) {
      // The oldest are let go of while we look.
      if (!isGone(error)) throw error;
    }
  }
}

async function inspectAll(dir: string, ids: readonly number[]): Promise<Segment[]> {
  const segments: Segment[] = [];
  for (const [i, id] of ids.entries()) {
    const path = segmentPath(dir, id);
    const previous = segments.at(-1);
    if (previous !== undefined && id !== previous.id + 1)
      throw damaged(basename(path), 0, 'the segment before it is missing');
    const { header, fileBytes } = await guardedAsync(path, () => inspectSegment(path));
    if (header === 'torn') {
      // Being made at this moment, or never finished.
      if (i === ids.length - 1) break;
      throw damaged(basename(path), 0, 'its header is cut off');
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
  return segments;
}

/** `end` is where the next segment begins: up to there all must be whole. Without one, what is not whole yet ends it. */
async function* blocksOf(segment: Segment, after: Position, end: Position | undefined): AsyncGenerator<LogBlock> {
  const reader = new BlockReader(STEP_BYTES);
  let cursor: Cursor = { offset: segment.start, last: segment.after };
  let handle: FileHandle | undefined;
  try {
    handle = await guardedAsync(segment.path, () => open(segment.path, 'r')).catch((error: unknown) => {
      // Let go of since we looked: what begins here is the next, wherever that is.
      throw isGone(error) ? trimmedAway(after, end ?? segment.after) : error;
    });
    // A segment that has a successor has its final size only since then.
    if (end !== undefined) segment.size = (await handle.stat()).size;
    while (cursor.offset < segment.size) {
      const step = await guardedAsync(segment.path, () => reader.step(handle as FileHandle, segment, cursor, after));
      if (step.damage !== undefined) {
        if (end === undefined) return;
        throw step.damage;
      }
      cursor = step.cursor;
      if (step.block !== undefined) yield step.block;
    }
    if (end !== undefined && cursor.last !== end)
      throw damaged(segment.path, cursor.offset, 'its last blocks are missing');
  } finally {
    await handle?.close();
  }
}

function isGone(error: unknown): boolean {
  return (error as NodeJS.ErrnoException).code === 'ENOENT';
}
