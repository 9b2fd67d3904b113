import { failpoint } from './failpoint.ts';
import type { Applied, ChangeLog, CheckpointStore, LogApplier } from './ports.ts';
import { earlierOf, POSITION_ZERO, type Position } from './position.ts';
import { type RetryPolicy, withRetry } from './retry.ts';

/** Where applying stands, as it is kept in the run's state. */
export interface ApplyCheckpoint {
  /** All entries up to here are durable on the target. */
  readonly position: Position;
  /** A fresh process reads the log from here. */
  readonly restartFrom: Position;
  readonly entries: number;
  /** The applier's own memory, as of `restartFrom`. */
  readonly memory: unknown;
}

/** State key of the last position that an applier has begun to apply. */
export function intentKey(checkpointKey: string): string {
  return `${checkpointKey}.intent`;
}

export interface ApplyOptions {
  readonly log: ChangeLog;
  /** Makes an applier that goes on from a checkpoint; made anew after every fault. */
  readonly openApplier: (from: ApplyCheckpoint) => Promise<LogApplier>;
  readonly store: CheckpointStore;
  /** Key of the checkpoint in the store. It must have been written before. */
  readonly checkpointKey: string;
  readonly maxBlockBytes: number;
  readonly retry: RetryPolicy;
  /** The log must not be let go of after this position, whatever was applied. */
  readonly retainFrom?: () => Position | undefined;
  readonly onApplied: (applied: Applied, checkpoint: ApplyCheckpoint) => void;
}

const TRIM_EVERY_MS = 5_000;

/**
 * Applies our log to the target until the signal is set. A checkpoint is
 * committed for every step, with the applier's memory in the same commit, and
 * only then is the log let go of up to there.
 */
export async function applyLog(options: ApplyOptions): Promise<void> {
  const { log, store, retry } = options;
  const { signal, clock } = retry;
  let trimmedMs = clock.now();
  await withRetry(retry, async (progressed) => {
    let checkpoint = store.get<ApplyCheckpoint>(options.checkpointKey) as ApplyCheckpoint;
    const applier = await options.openApplier(checkpoint);
    for await (const block of log.read(checkpoint.restartFrom, options.maxBlockBytes, signal)) {
      // Said before anything of the block is done: what a killed process may have applied ends here.
      // It is never taken back: blocks may be cut differently the next time, and end before where that process was.
      const intent = store.get<Position>(intentKey(options.checkpointKey)) ?? POSITION_ZERO;
      if (block.last > intent) store.set(intentKey(options.checkpointKey), block.last);
      for await (const applied of applier.apply(block, signal)) {
        checkpoint = {
          position: applied.position,
          restartFrom: applied.restartFrom,
          entries: checkpoint.entries + applied.entries,
          memory: applied.memory === undefined ? checkpoint.memory : applied.memory,
        };
        failpoint('checkpoint.before-commit');
        store.set(options.checkpointKey, checkpoint);
        failpoint('checkpoint.after-commit');
        options.onApplied(applied, checkpoint);
        progressed();
      }
      if (clock.now() - trimmedMs > TRIM_EVERY_MS) {
        failpoint('spool.before-trim');
        await log.trim(earlierOf(checkpoint.restartFrom, options.retainFrom?.() ?? checkpoint.restartFrom));
        trimmedMs = clock.now();
      }
    }
  });
}
