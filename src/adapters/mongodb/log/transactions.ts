import { findElement, valueOffset } from '../bson/walk.ts';
import type { LogEntry } from './entry.ts';

/** A transaction whose end has not been seen yet, as it is remembered. */
export interface OpenTransaction {
  readonly key: string;
  /** Raw log entries, base64. */
  readonly parts: readonly string[];
}

/**
 * Transactions that span several log entries: their parts are kept until the
 * commit is seen. What is kept is part of the applier's memory, so that the
 * log never has to be read again from before a checkpoint.
 */
export class Transactions {
  readonly #open = new Map<string, Buffer[]>();

  constructor(remembered: readonly OpenTransaction[]) {
    for (const { key, parts } of remembered)
      this.#open.set(
        key,
        parts.map((part) => Buffer.from(part, 'base64')),
      );
  }

  get isEmpty(): boolean {
    return this.#open.size === 0;
  }

  /** Keeps a part. */
  add(entry: LogEntry): void {
    const key = keyOf(entry);
    const part = Buffer.from(entry.buf.subarray(entry.start, entry.end));
    const parts = this.#open.get(key);
    if (parts) parts.push(part);
    else this.#open.set(key, [part]);
  }

  /** Gives and forgets the parts of the transaction an entry belongs to. */
  take(entry: LogEntry): Buffer[] {
    const key = keyOf(entry);
    const parts = this.#open.get(key) ?? [];
    this.#open.delete(key);
    return parts;
  }

  toJSON(): OpenTransaction[] {
    return [...this.#open].map(([key, parts]) => ({ key, parts: parts.map((part) => part.toString('base64')) }));
  }
}

function keyOf(entry: LogEntry): string {
  const session = entry.lsid < 0 ? '' : entry.buf.toString('hex', entry.lsid, entry.lsidEnd);
  return `${session}:${entry.txnNumber ?? ''}`;
}

/** Whether more entries of the transaction follow: it is unfinished, or waits for its commit. */
export function isPart(entry: LogEntry): boolean {
  return flag(entry, 'partialTxn') || flag(entry, 'prepare');
}

/** Offset of the `applyOps` array of an entry. */
export function operationsAt(entry: LogEntry): number {
  const at = findElement(entry.buf, entry.o, 'applyOps');
  return at < 0 ? -1 : valueOffset(entry.buf, at);
}

function flag(entry: LogEntry, name: string): boolean {
  const at = findElement(entry.buf, entry.o, name);
  return at >= 0 && entry.buf[at] === 0x08 && entry.buf[valueOffset(entry.buf, at)] === 1;
}
