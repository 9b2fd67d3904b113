/**
 * Executes operations on an image, strictly in order. What was executed after the last
 * checkpoint is executed again after a crash: the result is the same.
 */
import type { Area, Done } from '../../../kernel/protect/ports.ts';
import { gather } from './group-commit.ts';
import { changesImage, hasPayload, type OpRecord } from './record.ts';

export interface ApplierParts<E extends { readonly record: OpRecord }> {
  readonly image: Area;
  /** The next operations in order, as many as may be executed now, at most `most`. */
  readonly ready: (most: number) => readonly E[];
  readonly payload: (entry: E) => Buffer | Promise<Buffer>;
  /** Called before they are executed; that begins with `go`. */
  readonly before?: (entries: readonly E[], go: Done) => void;
  readonly applied: (entries: readonly E[]) => void;
  /** Could not write; it will be called again by `run`. */
  readonly failed: (error: Error) => void;
}

const MOST = 64;

export class Applier<E extends { readonly record: OpRecord }> {
  readonly #parts: ApplierParts<E>;
  #running = false;

  constructor(parts: ApplierParts<E>) {
    this.#parts = parts;
  }

  get isRunning(): boolean {
    return this.#running;
  }

  /** Goes on where there is something to do. */
  run(): void {
    if (this.#running) return;
    const batch = withoutOverlap(this.#parts.ready(MOST));
    if (batch.length === 0) return;
    this.#running = true;
    const finish: Done = (error) => {
      this.#running = false;
      if (error) return this.#parts.failed(error);
      this.#parts.applied(batch);
      this.run();
    };
    const execute: Done = (error) => {
      if (error) return finish(error);
      const written = gather(batch.length, finish);
      for (const entry of batch) this.#execute(entry, written);
    };
    if (this.#parts.before === undefined) execute();
    else this.#parts.before(batch, execute);
  }

  #execute(entry: E, done: Done): void {
    const { record } = entry;
    if (!changesImage(record.kind)) {
      done();
      return;
    }
    if (!hasPayload(record.kind)) {
      this.#parts.image.clear(record.offset, record.length, done);
      return;
    }
    const payload = this.#parts.payload(entry);
    if (Buffer.isBuffer(payload)) {
      this.#parts.image.write(record.offset, payload, done);
      return;
    }
    payload.then(
      (bytes) => this.#parts.image.write(record.offset, bytes, done),
      (error: unknown) => done(error as Error),
    );
  }
}

/** The longest beginning in which no two touch the same bytes: those may be written at once. */
function withoutOverlap<E extends { readonly record: OpRecord }>(entries: readonly E[]): readonly E[] {
  for (let i = 1; i < entries.length; i += 1) {
    const { record } = entries[i] as E;
    if (!changesImage(record.kind)) continue;
    for (let k = 0; k < i; k += 1) {
      const other = (entries[k] as E).record;
      if (changesImage(other.kind) && overlap(record, other)) return entries.slice(0, i);
    }
  }
  return entries;
}

export interface Range {
  readonly offset: number;
  readonly length: number;
}

export function overlap(a: Range, b: Range): boolean {
  return a.offset < b.offset + b.length && b.offset < a.offset + a.length;
}
