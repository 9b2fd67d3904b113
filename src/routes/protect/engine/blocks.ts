/**
 * What the primary has of its ring in memory: the newest blocks, and those that were read back because
 * they are to be sent. Everything else is read from the ring when it is needed.
 */
import { GodwitError } from '../../../kernel/errors.ts';
import type { History } from './history.ts';
import type { Op } from './local-store.ts';
import { blockBytes, decodeRecord } from './record.ts';
import { isWhole, type Ring } from './ring.ts';

/** What comes next by order is read along. */
const AHEAD_BYTES = 1 << 20;

export interface BlocksParts {
  readonly ring: Ring;
  readonly history: History<Op>;
  readonly mostBytes: number;
  /** Whether it is in the ring and in the image: nobody but the lanes needs it any more. */
  readonly isDone: (op: Op) => boolean;
  readonly failed: (error: Error) => void;
}

export class Blocks {
  readonly #parts: BlocksParts;
  /** In the order in which they came to memory; those before `#first` are gone already. */
  #held: Op[] = [];
  #first = 0;
  #bytes = 0;
  /** Being read, by the first of each stretch, and what is to be done then. */
  readonly #loading = new Map<Op, Set<() => void>>();

  constructor(parts: BlocksParts) {
    this.#parts = parts;
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** More is in memory than should be, and nothing of it can go: who writes has to wait. */
  get isFull(): boolean {
    this.#trim();
    const oldest = this.#held[this.#first];
    return this.#bytes >= this.#parts.mostBytes && oldest !== undefined && !this.#parts.isDone(oldest);
  }

  add(op: Op): void {
    this.#bytes += op.block?.length ?? 0;
    this.#held.push(op);
    this.#trim();
  }

  drop(op: Op): void {
    this.#bytes -= op.block?.length ?? 0;
    op.block = undefined;
  }

  clear(): void {
    for (const op of this.#held) this.drop(op);
    this.#held = [];
    this.#first = 0;
  }

  /** Lets go of the oldest, but never of the last that came: somebody wants it. */
  #trim(): void {
    for (;;) {
      const op = this.#held[this.#first];
      if (op === undefined || this.#first === this.#held.length - 1) break;
      if (op.block !== undefined) {
        if (this.#bytes < this.#parts.mostBytes || !this.#parts.isDone(op)) break;
        this.drop(op);
      }
      this.#first += 1;
    }
    if (this.#first < 1024 || this.#first * 2 < this.#held.length) return;
    this.#held = this.#held.slice(this.#first);
    this.#first = 0;
  }

  /**
   * Reads it back, and what comes after it; `then` is called when it can be sent, once, however often it was given:
   * who asks again whenever something happens would be called twice as often each time.
   */
  load(op: Op, then: () => void): void {
    const waiting = this.#loading.get(op);
    if (waiting !== undefined) {
      waiting.add(then);
      return;
    }
    const { history, ring, mostBytes, failed } = this.#parts;
    const wanted: Op[] = [];
    // What is read along must not push itself out again.
    const most = Math.min(AHEAD_BYTES, mostBytes / 4);
    let bytes = 0;
    for (const next of history.from(op.record.sequence)) {
      if (next.block !== undefined || (bytes > 0 && bytes + blockBytes(next.record) > most)) break;
      wanted.push(next);
      bytes += blockBytes(next.record);
    }
    const waiters = new Set([then]);
    this.#loading.set(op, waiters);
    ring.read(op.record.place, bytes).then(
      (read) => {
        this.#loading.delete(op);
        for (const each of wanted) {
          const at = each.record.place - op.record.place;
          this.#loaded(each, read.subarray(at, at + blockBytes(each.record)));
        }
        for (const each of waiters) each();
      },
      (error: unknown) => failed(error as Error),
    );
  }

  #loaded(op: Op, block: Buffer): void {
    // Its place may belong to another by now.
    if (op.block !== undefined || this.#parts.history.at(op.record.sequence) !== op) return;
    if (decodeRecord(block)?.crc !== op.record.crc || !isWhole(op.record, block)) {
      const { sequence } = op.record;
      this.#parts.failed(
        new GodwitError('GW7015', `The ring does not give back operation ${sequence} as it was written`),
      );
      return;
    }
    op.block = block;
    this.add(op);
  }
}
