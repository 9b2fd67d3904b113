import { failpoint } from './failpoint.ts';
import type { ChangeLog, ChangeSource } from './ports.ts';
import { laterOf, type Position } from './position.ts';
import { type RetryPolicy, withRetry } from './retry.ts';

export interface FollowOptions {
  readonly source: ChangeSource;
  readonly log: ChangeLog;
  /** Where to begin when the log is empty. */
  readonly start: Position;
  readonly retry: RetryPolicy;
  /** How long appended blocks may wait for their sync. */
  readonly syncEveryMs: number;
}

/**
 * Follows the source into our own log until the signal is set. The source may
 * forget what is synced; nothing here waits for the target.
 */
export async function follow(options: FollowOptions): Promise<void> {
  const { source, log, retry } = options;
  const { signal, clock } = retry;
  let lastSyncMs = clock.now();
  await withRetry(retry, async (progressed) => {
    for await (const block of source.stream(laterOf(log.end, options.start), signal)) {
      failpoint('follow.before-append');
      await log.append(block);
      failpoint('follow.after-append');
      if (clock.now() - lastSyncMs >= options.syncEveryMs) {
        await log.sync();
        failpoint('follow.after-sync');
        lastSyncMs = clock.now();
      }
      progressed();
    }
  });
  await log.sync();
}
