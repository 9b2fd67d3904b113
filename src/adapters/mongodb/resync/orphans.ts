import type { Document } from 'bson';
import { type Clock, systemClock } from '../../../kernel/clock.ts';
import { throwIfAborted } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import { fromDriver } from '../errors.ts';

const POLL_MS = 25;

/**
 * Waits until nothing that an earlier process sent is being written to some
 * namespaces any more: a server goes on with what it was sent by a process that
 * was killed, and could do it behind a comparison. To be called before this
 * process writes there.
 */
export async function waitForOrphans(
  cluster: Cluster,
  namespaces: ReadonlySet<string>,
  signal: AbortSignal,
  clock: Clock = systemClock,
): Promise<void> {
  // Of one's own user only, which needs no privilege.
  const pipeline = [
    { $currentOp: {} },
    { $match: { active: true, appName: 'godwit', op: { $in: ['insert', 'update', 'remove'] } } },
    { $project: { ns: 1 } },
  ];
  for (;;) {
    throwIfAborted(signal);
    let writing: Document[];
    try {
      writing = await cluster.db('admin').aggregate(pipeline).toArray();
    } catch (error) {
      throw fromDriver(error, `reading what is under way on the ${cluster.name}`);
    }
    if (!writing.some(({ ns }) => namespaces.has(String(ns)))) return;
    await clock.sleep(POLL_MS, signal);
  }
}
