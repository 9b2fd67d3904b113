import type { ChangeSource, LogBlock } from '../../../kernel/ports.ts';
import type { Position } from '../../../kernel/position.ts';
import type { Throttle } from '../../../kernel/throttle.ts';

/**
 * A source of changes that gives nothing while its gate is closed. It is open
 * for a round, and while somebody needs the present.
 */
export class GatedSource implements ChangeSource {
  readonly #inner: ChangeSource;
  readonly #throttle: Throttle;
  #open = false;
  #closing = new AbortController();
  #onOpen: (() => void)[] = [];
  /** Of the log that was read, since this process began. */
  bytes = 0;
  entries = 0;

  constructor(inner: ChangeSource, throttle: Throttle) {
    this.#inner = inner;
    this.#throttle = throttle;
  }

  get isOpen(): boolean {
    return this.#open;
  }

  open(): void {
    if (this.#open) return;
    this.#open = true;
    this.#closing = new AbortController();
    for (const wake of this.#onOpen.splice(0)) wake();
  }

  close(): void {
    this.#open = false;
    this.#closing.abort();
  }

  mark(signal: AbortSignal): Promise<Position> {
    return this.#inner.mark(signal);
  }

  horizon(signal: AbortSignal): Promise<Position> {
    return this.#inner.horizon(signal);
  }

  async *stream(after: Position, signal: AbortSignal): AsyncIterable<LogBlock> {
    let reached = after;
    while (!signal.aborted) {
      await this.#opened(signal);
      const over = AbortSignal.any([signal, this.#closing.signal]);
      try {
        for await (const block of this.#inner.stream(reached, over)) {
          // Paid for in full before it is given: a round may be one block only.
          await this.#throttle.take(block.bytes.length, over);
          await this.#throttle.take(0, over);
          yield block;
          this.bytes += block.bytes.length;
          this.entries += block.count;
          reached = block.last;
          if (over.aborted) break;
        }
      } catch (error) {
        // Closed in the middle of connecting, for example.
        if (!over.aborted) throw error;
      }
    }
  }

  #opened(signal: AbortSignal): Promise<void> {
    if (this.#open || signal.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const wake = () => {
        signal.removeEventListener('abort', wake);
        resolve();
      };
      signal.addEventListener('abort', wake, { once: true });
      this.#onOpen.push(wake);
    });
  }
}
