import type { Document } from 'bson';
import { systemClock } from '../../../kernel/clock.ts';
import { isRetryable } from '../../../kernel/errors.ts';
import type { Position } from '../../../kernel/position.ts';
import type { Cluster } from '../cluster.ts';
import { secondsOf } from '../position.ts';
import { needed } from './choose.ts';
import { readSet } from './members.ts';
import { turnAway } from './redirect.ts';

const LOOK_EVERY_MS = 1_000;
/** A member may fall back until this share of the primary's log is left between it and the log's beginning. */
const LEAST_HEADROOM = 0.25;

/**
 * Watches the others while a member stands still. Resolves with why it must go
 * on now: another one went down and it is needed, or the log that it has to
 * catch up from is about to forget. Resolves with undefined at the signal.
 */
export async function guard(
  cluster: Cluster,
  address: string,
  timePoint: Position,
  signal: AbortSignal,
): Promise<string | undefined> {
  while (!signal.aborted) {
    try {
      const why = (await isNeeded(cluster, address, signal)) ?? (await logForgets(cluster, timePoint));
      if (why !== undefined) return why;
    } catch (error) {
      // Nobody to ask, for a moment: an election, the network.
      if (!isRetryable(error)) throw error;
    }
    await systemClock.sleep(LOOK_EVERY_MS, signal);
  }
  return undefined;
}

async function isNeeded(cluster: Cluster, address: string, signal: AbortSignal): Promise<string | undefined> {
  const set = await readSet(cluster);
  const member = set.members.find((one) => one.address === address);
  if (member === undefined) return 'it was taken out of the replica set';
  // One that was between two sources when it was locked may have come to it since.
  return needed(set, member) ?? (await turnAway(cluster, set, address, signal));
}

/** Why the source's log would soon no longer reach back to a position; undefined while it does. */
export async function logForgets(cluster: Cluster, timePoint: Position): Promise<string | undefined> {
  const [first, last] = [await edge(cluster, 1), await edge(cluster, -1)];
  const stats = await cluster.command('local', { collStats: 'oplog.rs' });
  return headroomLost(secondsOf(timePoint), first, last, Number(stats['size']), Number(stats['maxSize']));
}

/** Why the log would soon no longer reach back to the time point; undefined while it does. Times in seconds. */
export function headroomLost(
  timePoint: number,
  first: number,
  last: number,
  size: number,
  maxSize: number,
): string | undefined {
  // A log that is not full yet forgets nothing.
  if (size < maxSize * 0.9 || last <= first) return undefined;
  if ((timePoint - first) / (last - first) >= LEAST_HEADROOM) return undefined;
  return `the source's log reaches back only ${Math.max(0, timePoint - first)} s further and is about to forget what comes next`;
}

async function edge(cluster: Cluster, direction: 1 | -1): Promise<number> {
  const reply = await cluster.command('local', {
    find: 'oplog.rs',
    sort: { $natural: direction },
    limit: 1,
    projection: { ts: 1 },
    singleBatch: true,
  });
  return Number((reply['cursor'].firstBatch as Document[])[0]?.['ts']?.t ?? 0);
}
