/**
 * The DR's order: one slot of 64 bytes for each sequence, used in turn. A record of an
 * older lap or of a history that gave way is told by its sequence and by the chain.
 */
import { invariant } from '../../../kernel/errors.ts';
import type { Area, Done } from '../../../kernel/protect/ports.ts';
import { gather } from './group-commit.ts';
import { decodeRecord, encodeRecord, type OpRecord, RECORD_BYTES } from './record.ts';
import { follows, type Point, pointAfter } from './ring.ts';

const READ_SLOTS = 1024;

export class OrderLog {
  readonly slots: number;
  readonly #area: Area;

  constructor(area: Area) {
    this.#area = area;
    this.slots = Math.floor(area.bytes / RECORD_BYTES);
  }

  /** Writes consecutive records and makes them durable. */
  write(records: readonly OpRecord[], done: Done): void {
    const runs: OpRecord[][] = [];
    for (const record of records) {
      const run = runs.at(-1);
      const before = run?.at(-1);
      const joins =
        before !== undefined && record.sequence === before.sequence + 1 && record.sequence % this.slots !== 0;
      if (run !== undefined && joins) run.push(record);
      else runs.push([record]);
    }
    invariant(records.length <= this.slots, 'More records than the order log has slots');
    const written = gather(runs.length, (error) => {
      if (error) done(error);
      else this.#area.sync(done);
    });
    for (const run of runs) {
      const bytes = Buffer.alloc(run.length * RECORD_BYTES);
      run.forEach((record, i) => {
        encodeRecord(record, bytes, i * RECORD_BYTES);
      });
      this.#area.write(((run[0] as OpRecord).sequence % this.slots) * RECORD_BYTES, bytes, written);
    }
  }

  /** The chain from `base` on. */
  async *records(base: Point): AsyncGenerator<OpRecord> {
    let point = base;
    for (;;) {
      const first = (point.sequence + 1) % this.slots;
      const chunk = Buffer.alloc(Math.min(READ_SLOTS, this.slots - first) * RECORD_BYTES);
      await this.#area.read(first * RECORD_BYTES, chunk);
      for (let at = 0; at < chunk.length; at += RECORD_BYTES) {
        const record = decodeRecord(chunk, at);
        if (record === undefined || !follows(point, record)) return;
        yield record;
        point = pointAfter(record);
        if (point.sequence - base.sequence >= this.slots) return;
      }
    }
  }
}
