/**
 * Our own durable copy of the source's log: append-only segment files.
 *
 * What holds at every instant, also after SIGKILL or a power cut:
 * - the files hold a prefix of what was appended, at least all up to the last `sync`;
 * - a segment is durable as a whole before its successor exists;
 * - readers see whole blocks only, in order, without a hole, or an error.
 *
 * One process appends (the run lock sees to it). Readers are in that process.
 */
import { type FileHandle, open, unlink } from 'node:fs/promises';
import { GodwitError, invariant } from '../../kernel/errors.ts';
import type { ChangeLog, LogBlock } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import { guardedAsync, translateFailure } from '../failures.ts';
import { syncDir } from '../run-dir.ts';
import { BlockReader, type Cursor } from './block-reader.ts';
import { damaged, encodeBlockHeader } from './format.ts';
import { type Recovered, recover, trimmedAway } from './recover.ts';
import { createSegment, type Segment, writeFully } from './segment.ts';

export interface SpoolOptions {
  /** A segment that has reached this size is followed by a new one. */
  readonly segmentBytes?: number;
  /** One that is so old, too: only whole segments are let go of. */
  readonly segmentMs?: number;
}

const SEGMENT_BYTES = 64 * 1024 * 1024;

export class Spool implements ChangeLog {
  /** Bytes that `open` cut off because a crash had torn them; 0 after a clean stop. */
  readonly tornBytes: number;
  readonly #dir: string;
  readonly #segmentBytes: number;
  readonly #segmentMs: number;
  #begunAt = Date.now();
  /** Never empty; the last one is written. */
  readonly #segments: Segment[];
  #handle: FileHandle;
  #sizeBytes: number;
  /** Appends made and appends synced; what a killed process left in the page cache counts as one not synced. */
  #appends = 1;
  #syncedAppends = 0;
  /** Changes of files come one after another. */
  #queue: Promise<unknown> = Promise.resolve();
  readonly #waiting = new Set<() => void>();
  #closed = false;
  /** Why nothing more can be promised, when the disk failed us in the middle. */
  #broken: unknown;

  private constructor(dir: string, recovered: Recovered, options: SpoolOptions) {
    this.#dir = dir;
    this.#segments = recovered.segments;
    this.#handle = recovered.handle;
    this.tornBytes = recovered.tornBytes;
    this.#segmentBytes = options.segmentBytes ?? SEGMENT_BYTES;
    this.#segmentMs = options.segmentMs ?? Number.POSITIVE_INFINITY;
    this.#sizeBytes = this.#segments.reduce((sum, segment) => sum + segment.size, 0);
  }

  /** Opens or makes the spool of a folder. GW9002 when a newer Godwit wrote it, GW4002 when a segment is missing. */
  static async open(dir: string, options: SpoolOptions = {}): Promise<Spool> {
    const recovered = await guardedAsync(`Opening the spool ${dir}`, () => recover(dir));
    return new Spool(dir, recovered, options);
  }

  get end(): Position {
    return this.#active.last;
  }

  get sizeBytes(): number {
    return this.#sizeBytes;
  }

  /** Everything after this position is here still, as far as it was appended; POSITION_ZERO when nothing was let go of. */
  get keptAfter(): Position {
    return this.#segments[0]?.after ?? this.end;
  }

  append(block: LogBlock): Promise<void> {
    return this.#inTurn(() => this.#append(block));
  }

  async sync(): Promise<void> {
    this.#assertUsable();
    const covers = this.#appends;
    if (covers === this.#syncedAppends) return;
    try {
      // Should the segment be followed by another meanwhile, then it was synced for that.
      await this.#handle.datasync();
    } catch (error) {
      // After a failed sync the kernel may have dropped the pages: nothing can be promised any more.
      this.#broken = error;
      throw translateFailure(error, 'Syncing the spool');
    }
    this.#syncedAppends = Math.max(this.#syncedAppends, covers);
  }

  /**
   * A block that lies partly at or before `after` is given whole; the applier
   * skips what it has. Ends quietly when the signal is set or the spool closes.
   * Throws GW4002 for damage, and when `after` is before what `trim` left.
   */
  async *read(after: Position, maxBytes: number, signal: AbortSignal): AsyncGenerator<LogBlock, void, undefined> {
    const oldest = this.#segments[0];
    if (this.#closed || oldest === undefined) return;
    if (after < oldest.after) throw trimmedAway(after, oldest.after);
    const reader = new BlockReader(maxBytes);
    let segment = this.#segments.find((one) => one.last > after) ?? this.#active;
    let cursor: Cursor = { offset: segment.start, last: segment.after };
    let handle: FileHandle | undefined;
    segment.readers += 1;
    try {
      handle = await openToRead(segment);
      while (!signal.aborted && !this.#closed) {
        if (cursor.offset < segment.size) {
          const step = await guardedAsync(segment.path, () =>
            reader.step(handle as FileHandle, segment, cursor, after),
          );
          if (step.damage !== undefined) throw step.damage;
          cursor = step.cursor;
          if (step.block !== undefined && !signal.aborted) yield step.block;
          continue;
        }
        const next = this.#after(segment);
        if (next === undefined) {
          await this.#changed(signal);
          continue;
        }
        if (cursor.last !== next.after) throw damaged(segment.path, cursor.offset, 'its last blocks are missing');
        next.readers += 1;
        segment.readers -= 1;
        segment = next;
        cursor = { offset: segment.start, last: segment.after };
        await handle.close();
        handle = undefined;
        handle = await openToRead(segment);
      }
    } finally {
      segment.readers -= 1;
      await handle?.close();
    }
  }

  /** Position just before the oldest entry that is kept. */
  get begin(): Position {
    return (this.#segments[0] as Segment).after;
  }

  trim(upTo: Position): Promise<void> {
    return this.#trimWhile((oldest) => oldest.last <= upTo);
  }

  /** Lets go of the oldest segments until no more than so many bytes are left. */
  trimToBytes(bytes: number): Promise<void> {
    return this.#trimWhile(() => this.#sizeBytes > bytes);
  }

  #trimWhile(mayGo: (oldest: Segment) => boolean): Promise<void> {
    return this.#inTurn(async () => {
      let unlinked = 0;
      for (;;) {
        const oldest = this.#segments[0];
        // The newest stays whatever it holds: it knows where the spool ends.
        if (oldest === undefined || oldest === this.#active || oldest.readers > 0 || !mayGo(oldest)) break;
        this.#segments.shift();
        this.#sizeBytes -= oldest.size;
        await guardedAsync(oldest.path, () => unlink(oldest.path));
        unlinked += 1;
      }
      if (unlinked > 0) syncDir(this.#dir);
    });
  }

  /** Syncs and closes; readers end. A second call does nothing. */
  async close(): Promise<void> {
    await this.#queue.catch(() => {});
    if (this.#closed) return;
    try {
      if (this.#broken === undefined) await this.sync();
    } finally {
      this.#closed = true;
      this.#wake();
      await this.#handle.close();
    }
  }

  async #append(block: LogBlock): Promise<void> {
    this.#assertUsable();
    invariant(
      block.first > this.end,
      `A block beginning at ${block.first} does not follow ${this.end || 'the beginning'}`,
    );
    invariant(block.last >= block.first, `A block ends at ${block.last}, before its beginning ${block.first}`);
    const header = encodeBlockHeader(block);
    const bytes = header.length + block.bytes.length;
    const full = this.#active.size + bytes > this.#segmentBytes || Date.now() - this.#begunAt > this.#segmentMs;
    if (full && this.#active.size > this.#active.start) await this.#roll();
    const segment = this.#active;
    try {
      await writeFully(this.#handle, [header, block.bytes], segment.size);
    } catch (error) {
      await this.#cutBack(segment);
      throw translateFailure(error, 'Appending to the spool');
    }
    segment.size += bytes;
    segment.last = block.last;
    this.#sizeBytes += bytes;
    this.#appends += 1;
    this.#wake();
  }

  /** Takes away what a failed write left, so that the file ends with a whole block. */
  async #cutBack(segment: Segment): Promise<void> {
    try {
      await this.#handle.truncate(segment.size);
    } catch (error) {
      this.#broken = error;
    }
  }

  async #roll(): Promise<void> {
    await this.sync(); // before the successor exists: see the invariants above
    const { id, last } = this.#active;
    this.#begunAt = Date.now();
    const { segment, handle } = await guardedAsync('Adding a segment to the spool', () =>
      createSegment(this.#dir, id + 1, last),
    );
    const old = this.#handle;
    this.#segments.push(segment);
    this.#sizeBytes += segment.size;
    this.#handle = handle;
    await old.close();
  }

  get #active(): Segment {
    const active = this.#segments.at(-1);
    invariant(active !== undefined, 'A spool has no segment');
    return active;
  }

  #after(segment: Segment): Segment | undefined {
    return this.#segments[segment.id + 1 - (this.#segments[0]?.id ?? 0)];
  }

  /** Resolves at the next append, at `close`, or when the signal is set. */
  #changed(signal: AbortSignal): Promise<void> {
    return new Promise((resolve) => {
      const done = () => {
        this.#waiting.delete(done);
        signal.removeEventListener('abort', done);
        resolve();
      };
      this.#waiting.add(done);
      signal.addEventListener('abort', done, { once: true });
    });
  }

  #wake(): void {
    for (const done of [...this.#waiting]) done();
  }

  #inTurn<T>(work: () => Promise<T>): Promise<T> {
    const turn = this.#queue.then(work, work);
    this.#queue = turn;
    turn.catch(() => {}); // the caller has it; the queue must not report it a second time
    return turn;
  }

  #assertUsable(): void {
    invariant(!this.#closed, 'A closed spool was used');
    if (this.#broken === undefined) return;
    const cause = translateFailure(this.#broken, 'The spool failed before');
    throw cause instanceof GodwitError
      ? cause
      : new GodwitError('GW4002', 'The spool failed before', { cause: this.#broken });
  }
}

function openToRead(segment: Segment): Promise<FileHandle> {
  return guardedAsync(segment.path, () => open(segment.path, 'r'));
}
