import type { ChunkLedger } from './copy.ts';
import { throwIfAborted } from './errors.ts';
import { failpoint } from './failpoint.ts';
import { inLanes } from './lanes.ts';
import type { Chunk, ChunkVerifier, Drift } from './ports.ts';
import { type RetryPolicy, withRetry } from './retry.ts';

export interface VerifyOptions {
  readonly verifier: ChunkVerifier;
  readonly ledger: ChunkLedger;
  readonly lanes: number;
  readonly retry: RetryPolicy;
  readonly onProgress: (docs: number, bytes: number) => void;
  /** Keeps what differs, before the chunk counts as done. */
  readonly onDrift: (drift: readonly Drift[]) => void;
  readonly gate: () => Promise<void>;
}

/**
 * Compares every pending chunk, `lanes` at once. Resumable: done chunks stay
 * done. The first error that waiting cannot cure ends all lanes.
 */
export async function verifyAll(options: VerifyOptions): Promise<void> {
  await inLanes(options.ledger.pending(), options.lanes, options.retry.signal, async (chunk, signal) => {
    await options.gate();
    throwIfAborted(signal);
    await verifyOne(options, { ...options.retry, signal }, chunk);
  });
}

async function verifyOne(options: VerifyOptions, retry: RetryPolicy, chunk: Chunk): Promise<void> {
  await withRetry(retry, async (progressed) => {
    let docs = 0;
    let bytes = 0;
    try {
      const verdict = await options.verifier.verify(
        chunk,
        (moreDocs, moreBytes) => {
          docs += moreDocs;
          bytes += moreBytes;
          options.onProgress(moreDocs, moreBytes);
          progressed();
        },
        retry.signal,
      );
      if (verdict.drift.length > 0) options.onDrift(verdict.drift);
      options.ledger.done(chunk, verdict.docs, verdict.bytes);
    } catch (error) {
      options.onProgress(-docs, -bytes);
      throw error;
    }
    failpoint('verify.chunk.after');
  });
}
