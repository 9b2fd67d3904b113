/** The primary's state table in the shared area: a row for each operation, written when its state has changed. */
import type { Area } from '../../../kernel/protect/ports.ts';
import { encodeRow, ROW_BYTES, STATE } from './area-layout.ts';
import { gather } from './group-commit.ts';
import type { History } from './history.ts';
import type { Op } from './local-store.ts';

/** Writes at once; rows that lie side by side go together. */
const MOST_RUNS = 64;

export class StateTable {
  readonly #area: Area;
  readonly #history: History<Op>;
  readonly #rows: number;
  readonly #ordered: () => number;
  readonly #failed: () => void;
  #changed = new Set<number>();
  #isWriting = false;

  /** @param ordered up to where the order is durable at the DR */
  constructor(area: Area, history: History<Op>, ordered: () => number, failed: () => void) {
    this.#area = area;
    this.#history = history;
    this.#rows = Math.floor(area.bytes / ROW_BYTES);
    this.#ordered = ordered;
    this.#failed = failed;
  }

  changed(first: number, last: number): void {
    for (let sequence = first; sequence <= last; sequence += 1) this.#changed.add(sequence);
  }

  /** Writes what has changed; what changes meanwhile goes with the next. Nothing waits for it: unknown is not copied. */
  write(): void {
    if (this.#isWriting || this.#changed.size === 0) return;
    const runs = this.#runs();
    if (runs.length === 0) return;
    this.#isWriting = true;
    const written = gather(runs.length, (error) => {
      this.#isWriting = false;
      if (error) this.#failed();
    });
    for (const ops of runs) {
      const data = Buffer.alloc(ops.length * ROW_BYTES);
      ops.forEach((op, i) => {
        encodeRow(op.record, this.#stateOf(op), data, i * ROW_BYTES);
      });
      this.#area.write(((ops[0] as Op).record.sequence % this.#rows) * ROW_BYTES, data, written);
    }
  }

  #stateOf({ record, sentAt, stored }: Op): number {
    const ordered = record.sequence <= this.#ordered() ? STATE.ordered : 0;
    return ordered | (sentAt === undefined ? 0 : STATE.sent) | (stored ? STATE.stored : 0);
  }

  #runs(): Op[][] {
    const runs: Op[][] = [];
    for (const sequence of [...this.#changed].sort((a, b) => a - b)) {
      const op = this.#history.at(sequence);
      const run = runs.at(-1);
      const isNext = run?.at(-1)?.record.sequence === sequence - 1 && sequence % this.#rows !== 0;
      if (op !== undefined && !isNext && runs.length === MOST_RUNS) break;
      this.#changed.delete(sequence);
      if (op === undefined) continue;
      if (isNext) run?.push(op);
      else runs.push([op]);
    }
    return runs;
  }
}
