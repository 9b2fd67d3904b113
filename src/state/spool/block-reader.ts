import type { FileHandle } from 'node:fs/promises';
import { basename } from 'node:path';
import { crc32 } from 'node:zlib';
import type { GodwitError } from '../../kernel/errors.ts';
import type { LogBlock } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import { type BlockHeader, damaged, decodeBlockHeader, MAX_HEADER_BYTES } from './format.ts';
import type { Segment } from './segment.ts';

/** A place in a segment: the next block begins at `offset`; the one before ended with `last`. */
export interface Cursor {
  readonly offset: number;
  readonly last: Position;
}

/** What one step found. `damage` says that the block at the cursor is not whole; what came before it was given. */
export interface Step {
  readonly cursor: Cursor;
  readonly block?: LogBlock;
  readonly damage?: GodwitError;
}

const SMALLEST_BUFFER = 64 * 1024;

/**
 * Reads blocks of a segment, several at a time, and checks every byte it
 * gives. Headers between merged payloads are closed up in place, so a step
 * costs one pread and no second buffer. The buffer is used again by the next step.
 */
export class BlockReader {
  readonly #maxBytes: number;
  #buffer: Buffer = Buffer.allocUnsafeSlow(SMALLEST_BUFFER);

  constructor(maxBytes: number) {
    this.#maxBytes = maxBytes;
  }

  /**
   * The blocks from the cursor on that reach past `after`, merged up to about
   * `maxBytes`. A step may give none (all skipped) but always moves on, or
   * reports damage. The cursor must be before the segment's size.
   */
  async step(handle: FileHandle, segment: Segment, from: Cursor, after: Position): Promise<Step> {
    const left = segment.size - from.offset;
    let filled = await this.#fill(handle, from.offset, Math.min(left, this.#maxBytes + MAX_HEADER_BYTES));
    const merge = new Merge();
    let at = 0;
    let last = from.last;
    const stop = (what?: string): Step => {
      const block = merge.block(this.#buffer);
      const cursor = { offset: from.offset + at, last };
      // What is whole goes first; the next step begins at the damage and reports it.
      if (what === undefined || at > 0) return { cursor, ...(block && { block }) };
      return { cursor, damage: damaged(basename(segment.path), cursor.offset, what) };
    };

    while (at < left) {
      const header = decodeBlockHeader(this.#buffer, at, filled);
      if (header === 'short' && filled < left && at > 0) return stop();
      if (header === 'short') return stop('the file ends inside a block header');
      if (header === 'bad') return stop('a block header does not match its checksum');
      if (header.first <= last || header.last < header.first) return stop('a block is out of order');
      const end = at + header.headerBytes + header.payloadBytes;
      if (end > left) return stop('the file ends inside a block');
      if (header.last > after) {
        if (merge.bytes > 0 && merge.bytes + header.payloadBytes > this.#maxBytes) return stop();
        if (end > filled) {
          if (at > 0) return stop();
          filled = await this.#fill(handle, from.offset, end);
          if (end > filled) return stop('the file ends inside a block');
        }
        const payload = this.#buffer.subarray(at + header.headerBytes, end);
        if (crc32(payload) !== header.payloadCrc) return stop('a block does not match its checksum');
        merge.add(this.#buffer, header, at + header.headerBytes);
      }
      at = end;
      last = header.last;
      if (at >= filled) return stop();
    }
    return stop();
  }

  async #fill(handle: FileHandle, position: number, bytes: number): Promise<number> {
    if (this.#buffer.length < bytes) {
      // Grown by doubling up to a full step, so that following a quiet log stays small.
      const full = this.#maxBytes + MAX_HEADER_BYTES;
      const doubled = Math.min(full, 2 ** Math.ceil(Math.log2(bytes)));
      this.#buffer = Buffer.allocUnsafeSlow(Math.max(bytes, doubled));
    }
    let filled = 0;
    while (filled < bytes) {
      const { bytesRead } = await handle.read(this.#buffer, filled, bytes - filled, position + filled);
      if (bytesRead === 0) break;
      filled += bytesRead;
    }
    return filled;
  }
}

/** The blocks of one step becoming one: payloads moved together towards the first. */
class Merge {
  #first: BlockHeader | undefined;
  #last: BlockHeader | undefined;
  #count = 0;
  #start = 0;
  #end = 0;

  get bytes(): number {
    return this.#end - this.#start;
  }

  add(buffer: Buffer, header: BlockHeader, payloadAt: number): void {
    if (this.#first === undefined) {
      this.#first = header;
      this.#start = payloadAt;
      this.#end = payloadAt;
    } else {
      buffer.copyWithin(this.#end, payloadAt, payloadAt + header.payloadBytes);
    }
    this.#end += header.payloadBytes;
    this.#last = header;
    this.#count += header.count;
  }

  block(buffer: Buffer): LogBlock | undefined {
    if (this.#first === undefined || this.#last === undefined) return undefined;
    return {
      first: this.#first.first,
      last: this.#last.last,
      count: this.#count,
      bytes: buffer.subarray(this.#start, this.#end),
    };
  }
}
