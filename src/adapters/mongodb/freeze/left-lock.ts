import { systemClock } from '../../../kernel/clock.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import { openLock, writeJournal } from './journal.ts';
import { MemberLock } from './member-lock.ts';

/** What became of a lock that an earlier process left. */
export interface LeftLock {
  readonly address: string;
  /** False when the watchdog, or a start of the server, had ended it already. */
  readonly unlocked: boolean;
  /** Locks of others that stand there still. */
  readonly others: number;
}

const LOOK_EVERY_MS = 200;
const GRACE_MS = 2_000;
const UNLOCK_WITHIN_MS = 60_000;

/**
 * Takes away the lock that the journal says an earlier process may have left;
 * undefined when there is none. Its watchdog is given the time of its lease
 * first, unless `atOnce`. Only the one lock of ours is taken. Throws GW7011.
 */
export async function releaseLeftLock(
  cluster: Cluster,
  journal: string,
  options: { readonly atOnce: boolean; readonly why: string; readonly signal: AbortSignal },
): Promise<LeftLock | undefined> {
  const left = openLock(journal);
  if (left === undefined) return undefined;
  const { address } = left;
  const until = systemClock.now() + (options.atOnce ? 0 : left.leaseMs + GRACE_MS);
  while (systemClock.now() < until && !options.signal.aborted) {
    if (openLock(journal) === undefined) return { address, unlocked: false, others: 0 };
    await systemClock.sleep(LOOK_EVERY_MS, options.signal);
  }
  const signal = AbortSignal.any([options.signal, AbortSignal.timeout(UNLOCK_WITHIN_MS)]);
  try {
    const lock = await MemberLock.open(cluster.wireTarget(address), signal);
    try {
      const others = await lock.unlockCertainly(signal);
      writeJournal(journal, { what: 'released', at: new Date().toISOString(), address, why: options.why });
      return { address, unlocked: others !== undefined, others: others ?? 0 };
    } finally {
      lock.close();
    }
  } catch (cause) {
    throw new GodwitError('GW7011', `${address} may still be locked: ${String((cause as Error).message)}`, {
      details: { member: address, since: left.since },
      cause,
    });
  }
}
