import type { Clock } from './clock.ts';
import { GodwitError, isRetryable, throwIfAborted } from './errors.ts';

export interface RetryPolicy {
  readonly clock: Clock;
  readonly signal: AbortSignal;
  /** How long faults may go on without any success before GW3004. */
  readonly deadlineMs: number;
  /** Told before each wait. */
  readonly onRetry?: (error: GodwitError, attempt: number, waitMs: number) => void;
}

const FIRST_WAIT_MS = 50;
const LONGEST_WAIT_MS = 5_000;

/**
 * Runs `attempt` until it succeeds. Passing faults (disposition `retry`) are
 * repeated with doubling waits; everything else is thrown as it is.
 * `attempt` may call `progressed()` to say that work was done, which starts
 * the deadline and the waits afresh: a long copy may meet many faults.
 */
export async function withRetry<T>(policy: RetryPolicy, attempt: (progressed: () => void) => Promise<T>): Promise<T> {
  let failures = 0;
  let since = policy.clock.now();
  const progressed = () => {
    failures = 0;
    since = policy.clock.now();
  };
  for (;;) {
    throwIfAborted(policy.signal);
    try {
      return await attempt(progressed);
    } catch (error) {
      throwIfAborted(policy.signal);
      if (!isRetryable(error)) throw error;
      const fault = error as GodwitError;
      if (failures === 0) since = policy.clock.now();
      failures += 1;
      if (policy.clock.now() - since > policy.deadlineMs) {
        throw new GodwitError('GW3004', `${fault.message}; repeated for ${Math.round(policy.deadlineMs / 1000)} s`, {
          details: { ...fault.details, lastCode: fault.code },
          cause: fault,
        });
      }
      const waitMs = backoffMs(failures);
      policy.onRetry?.(fault, failures, waitMs);
      await policy.clock.sleep(waitMs, policy.signal);
    }
  }
}

/** How long to wait after so many failures in a row: doubling, 50 ms to 5 s. */
export function backoffMs(failures: number): number {
  return Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** Math.min(failures - 1, 10));
}
