/**
 * A round store of blocks. Places are counted without end; the byte of a place is
 * its remainder. Who writes sees to it that nothing living is overwritten.
 */
import type { Area, Done } from '../../../kernel/protect/ports.ts';
import { blockBytes, decodeRecord, hashOf, hasPayload, type OpRecord, RECORD_BYTES } from './record.ts';

/** The end of a history: what the next record is chained to, and where its block goes. */
export interface Point {
  readonly sequence: number;
  readonly crc: number;
  readonly place: number;
}

export const BEGINNING: Point = { sequence: 0, crc: 0, place: 0 };

export function pointAfter(record: OpRecord): Point {
  return { sequence: record.sequence, crc: record.crc, place: record.place + blockBytes(record) };
}

/** Whether `record` is the very next one after `point`. */
export function follows(point: Point, record: OpRecord): boolean {
  return record.sequence === point.sequence + 1 && record.before === point.crc && record.place === point.place;
}

const AHEAD = 4 << 20;

export class Ring {
  readonly bytes: number;
  readonly #area: Area;

  constructor(area: Area) {
    this.#area = area;
    this.bytes = area.bytes;
  }

  write(place: number, data: Buffer, done: Done): void {
    const at = place % this.bytes;
    const first = Math.min(data.length, this.bytes - at);
    if (first === data.length) {
      this.#area.write(at, data, done);
      return;
    }
    this.#area.write(at, data.subarray(0, first), (error) => {
      if (error) done(error);
      else this.#area.write(0, data.subarray(first), done);
    });
  }

  sync(done: Done): void {
    this.#area.sync(done);
  }

  async read(place: number, length: number): Promise<Buffer> {
    const into = Buffer.alloc(length);
    const at = place % this.bytes;
    const first = Math.min(length, this.bytes - at);
    await this.#area.read(at, into.subarray(0, first));
    if (first < length) await this.#area.read(0, into.subarray(first));
    return into;
  }

  /** For who reads on from place to place: much is read at once, and what is given are views of it. */
  ahead(): (place: number, length: number) => Promise<Buffer> {
    let from = 0;
    let held: Buffer = Buffer.alloc(0);
    return async (place, length) => {
      if (place < from || place + length > from + held.length) {
        from = place;
        held = await this.read(place, Math.min(Math.max(length, AHEAD), this.bytes));
      }
      return held.subarray(place - from, place - from + length);
    };
  }

  /** Every whole block from `tail` on, in order; stops at the first that is missing, torn, or of another history. */
  async *blocks(tail: Point): AsyncGenerator<{ record: OpRecord; block: Buffer }> {
    const read = this.ahead();
    let point = tail;
    for (;;) {
      const record = decodeRecord(await read(point.place, RECORD_BYTES));
      if (record === undefined || !follows(point, record)) return;
      const length = blockBytes(record);
      if (record.place + length - tail.place > this.bytes) return;
      const block = await read(record.place, length);
      if (!isWhole(record, block)) return;
      yield { record, block };
      point = pointAfter(record);
    }
  }
}

/** Whether the payload of a block is what its record says. */
export function isWhole(record: OpRecord, block: Buffer): boolean {
  return !hasPayload(record.kind) || hashOf(payloadOf(record, block)) === record.hash;
}

export function payloadOf(record: OpRecord, block: Buffer): Buffer {
  return block.subarray(RECORD_BYTES, RECORD_BYTES + record.length);
}
