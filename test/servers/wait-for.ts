import { setTimeout as sleep } from 'node:timers/promises';

export interface WaitForOptions {
  /** Gives up after this long. */
  readonly timeoutMs: number;
  /** Completes the sentence "timed out waiting for …". */
  readonly what: string;
  /** Pause between two looks; short, because tests wait on this. */
  readonly intervalMs?: number;
}

/** A slow machine is no failure: how many times as long everything may take there. */
const PATIENCE = Number(process.env['GODWIT_PATIENCE'] ?? '1');

/**
 * Polls `condition` until it gives something other than `false`, `null` or `undefined`, and returns that.
 * A condition that throws counts as "not yet": servers that are starting or failing over refuse
 * connections. The last such error becomes the cause of the time-out, so that it is not lost.
 */
export async function waitFor<T>(
  condition: () => Promise<T | undefined | null | false> | T | undefined | null | false,
  options: WaitForOptions,
): Promise<T> {
  const timeoutMs = options.timeoutMs * PATIENCE;
  const deadline = performance.now() + timeoutMs;
  let lastError: unknown;
  for (;;) {
    try {
      const value = await condition();
      if (value !== undefined && value !== null && value !== false) return value;
      lastError = undefined;
    } catch (error) {
      if (error instanceof StopWaiting) throw error;
      lastError = error;
    }
    if (performance.now() >= deadline) {
      const why = lastError instanceof Error ? `: ${lastError.message}` : '';
      throw new Error(`timed out after ${timeoutMs} ms waiting for ${options.what}${why}`, {
        cause: lastError,
      });
    }
    await sleep(options.intervalMs ?? 20);
  }
}

/** Thrown by a condition that knows it can never come true (the process it waits for has died). */
export class StopWaiting extends Error {
  override readonly name = 'StopWaiting';
}
