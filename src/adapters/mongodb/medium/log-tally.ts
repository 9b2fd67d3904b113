import { GodwitError } from '../../../kernel/errors.ts';
import { POSITION_ZERO, type Position } from '../../../kernel/position.ts';
import { forEachOperation, type LogEntry, namespaceText, OP, readEntry } from '../log/entry.ts';
import { operationsAt } from '../log/transactions.ts';
import { positionBefore } from '../position.ts';

const BUCKETS = /^[^.]+\.system\.buckets\./;

/** Reads along a log that another tool wrote: its limits, its order, and the identities it tells. */
export class LogTally {
  readonly #file: string;
  readonly #uuids = new Map<string, string>();
  /** Of the first entry. */
  first: Position = POSITION_ZERO;
  end: Position = POSITION_ZERO;
  entries = 0;

  constructor(file: string) {
    this.#file = file;
  }

  /** Just before the first entry: that one is needed itself. */
  get start(): Position {
    return positionBefore(this.first);
  }

  /** Throws GW2101 when entries are not in order, or are no entries. */
  add(docs: Buffer): void {
    for (let at = 0; at < docs.length; ) {
      const entry = readEntry(docs, at, true);
      at = entry.end;
      const { ts } = entry;
      if (ts === undefined || entry.op === 0) throw this.#damaged('it holds something that is no log entry');
      if (ts <= this.end) throw this.#damaged('its entries are not in order');
      if (this.entries === 0) this.first = ts;
      this.end = ts;
      this.entries += 1;
      this.#note(entry);
    }
  }

  /** The identity that the log last gave to a name, if it speaks of it. Kept for time series only. */
  uuidOf(namespace: string): string | undefined {
    return this.#uuids.get(namespace);
  }

  #note(entry: LogEntry): void {
    if (entry.op === OP.command) {
      const array = operationsAt(entry);
      if (array >= 0) forEachOperation(entry.buf, array, (operation) => this.#note(operation));
    } else if (entry.uuidStart >= 0) {
      const namespace = namespaceText(entry);
      if (BUCKETS.test(namespace))
        this.#uuids.set(namespace, entry.buf.toString('hex', entry.uuidStart, entry.uuidStart + 16));
    }
  }

  #damaged(why: string): GodwitError {
    return new GodwitError('GW2101', `${this.#file} is damaged: ${why}`, { details: { file: this.#file } });
  }
}
