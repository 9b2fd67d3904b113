import { throwIfAborted } from './errors.ts';
import { failpoint } from './failpoint.ts';
import { inLanes } from './lanes.ts';
import type { Chunk, ChunkCopier } from './ports.ts';
import { type RetryPolicy, withRetry } from './retry.ts';

/** Where the chunks of a copy are kept. */
export interface ChunkLedger {
  pending(): readonly Chunk[];
  done(chunk: Chunk, docs: number, bytes: number): void;
}

export interface CopyOptions {
  readonly copier: ChunkCopier;
  readonly ledger: ChunkLedger;
  /** Chunks worked on at once. */
  readonly lanes: number;
  /** Called once for every unit when its last chunk is done, also when that was before a restart. */
  readonly finishUnit: (unit: string) => Promise<void>;
  /** All units, whether or not chunks of them are left. */
  readonly units: readonly string[];
  readonly retry: RetryPolicy;
  readonly onProgress: (unit: string, docs: number, bytes: number) => void;
  /** Waits while the run is paused. */
  readonly gate: () => Promise<void>;
}

/**
 * Copies every pending chunk, `lanes` at once, and finishes each unit as soon
 * as its last chunk is done, one unit at a time, beside the copying of others.
 * The first error that waiting cannot cure ends all lanes.
 */
export async function copyAll(options: CopyOptions): Promise<void> {
  const { signal } = options.retry;
  const queue = [...options.ledger.pending()];
  const left = new Map<string, number>(options.units.map((unit) => [unit, 0]));
  for (const chunk of queue) left.set(chunk.unit, (left.get(chunk.unit) ?? 0) + 1);

  const failure = new AbortController();
  const retry: RetryPolicy = { ...options.retry, signal: AbortSignal.any([signal, failure.signal]) };
  let finishing = Promise.resolve();
  const finish = (unit: string) => {
    finishing = finishing.then(() => withRetry(retry, () => options.finishUnit(unit)));
    // Ends the lanes, and is thrown once they have come to rest.
    finishing.catch((error) => failure.abort(error));
  };
  for (const [unit, count] of left) if (count === 0) finish(unit);

  await inLanes(queue, options.lanes, retry.signal, async (chunk, lanesSignal) => {
    await options.gate();
    throwIfAborted(lanesSignal);
    await copyOne(options, { ...retry, signal: lanesSignal }, chunk);
    const rest = (left.get(chunk.unit) ?? 1) - 1;
    left.set(chunk.unit, rest);
    if (rest === 0) finish(chunk.unit);
  }).catch((error) => {
    failure.abort(error);
  });
  await finishing.catch(() => undefined);
  throwIfAborted(signal);
  if (failure.signal.aborted) throw failure.signal.reason;
}

async function copyOne(options: CopyOptions, retry: RetryPolicy, chunk: Chunk): Promise<void> {
  await withRetry(retry, async (progressed) => {
    let docs = 0;
    let bytes = 0;
    try {
      await options.copier.copy(
        chunk,
        (moreDocs, moreBytes) => {
          docs += moreDocs;
          bytes += moreBytes;
          options.onProgress(chunk.unit, moreDocs, moreBytes);
          progressed();
        },
        retry.signal,
      );
    } catch (error) {
      // The chunk begins again: what was counted of it is taken back.
      options.onProgress(chunk.unit, -docs, -bytes);
      throw error;
    }
    failpoint('copy.chunk.before-done');
    options.ledger.done(chunk, docs, bytes);
    failpoint('copy.chunk.after-done');
  });
}
