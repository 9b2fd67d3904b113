import type { Document } from 'bson';
import { systemClock } from '../../../kernel/clock.ts';
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import { failpoint } from '../../../kernel/failpoint.ts';
import type { Position } from '../../../kernel/position.ts';
import type { Cluster } from '../cluster.ts';
import { oldestTransactionOn } from '../log/oplog-source.ts';
import { positionOfTimestamp, timestampOf } from '../position.ts';
import type { WireConnection } from '../wire/connection.ts';
import { needed } from './choose.ts';
import { type FreezeOptions, FrozenMember, unlock } from './frozen-member.ts';
import { readSetWithLocks } from './members.ts';
import { chooseMember } from './pick-member.ts';
import { WatchdogClient } from './watchdog-client.ts';
import { sendTarget } from './watchdog-order.ts';

const LEASE_MS = 15_000;
const LOCK_WITHIN_MS = 60_000;
const COMMIT_WITHIN_MS = 60_000;
const STILL_LOOKS = 5;
const LOOK_AGAIN_MS = 40;

/** Stops the writes of a fit secondary. Throws GW2007 when there is none, GW7010 when it could not be done. */
export async function freezeSecondary(options: FreezeOptions): Promise<FrozenMember> {
  const { cluster, journal, signal, leaseMs = LEASE_MS } = options;
  const { address, lock } = await chooseMember(cluster, options.member, signal);
  let watchdog: WatchdogClient | undefined;
  try {
    failpoint('freeze.before-lock');
    const target = sendTarget(cluster.wireTarget(address));
    watchdog = await WatchdogClient.start({ address, target, journal, leaseMs }, signal);
    throwIfAborted(signal);
    const locking = watchdog.lock(LOCK_WITHIN_MS, signal);
    failpoint('freeze.locking');
    await locking;
    const lockedAtMs = systemClock.now();
    failpoint('freeze.after-lock');
    await assertSpared(options, address);
    const connection = await lock.control();
    const reached = await standingAt(connection, signal);
    await assertCommitted(cluster, address, reached, signal);
    const logFrom = await oldestTransactionOn(connection, reached.position);
    failpoint('freeze.after-time-point');
    options.onEvent('member-frozen', { member: address, timePoint: reached.position });
    return new FrozenMember(options, { lock, watchdog, address, timePoint: reached.position, logFrom, lockedAtMs });
  } catch (error) {
    try {
      if (watchdog) await unlock(options, address, lock, watchdog, 'it could not be frozen');
    } finally {
      lock.close();
    }
    throw error;
  }
}

interface Reached {
  readonly position: Position;
  readonly term: number;
}

/** Where the member stands. A batch that was being finished when the lock came may still be counted. */
async function standingAt(connection: WireConnection, signal: AbortSignal): Promise<Reached> {
  let seen: Reached | undefined;
  for (let same = 0; same < STILL_LOOKS; ) {
    throwIfAborted(signal);
    const { lastWrite } = await connection.run({ hello: 1, $db: 'admin' });
    const { ts, t } = lastWrite.opTime as { ts: { t: number; i: number }; t: unknown };
    const now = { position: positionOfTimestamp(ts), term: Number(t) };
    same = now.position === seen?.position ? same + 1 : 0;
    seen = now;
    await systemClock.sleep(LOOK_AGAIN_MS, signal);
  }
  return seen as Reached;
}

/** Two runs may have chosen at the same moment, and each of them the member that the other counted on. */
async function assertSpared({ cluster, signal }: FreezeOptions, address: string): Promise<void> {
  const set = await readSetWithLocks(cluster, signal);
  const member = set.members.find((one) => one.address === address);
  const why = member ? needed(set, member) : 'it was taken out of the replica set';
  if (why !== undefined)
    throw new GodwitError('GW7010', `${address} is let go again: ${why}`, { details: { member: address } });
}

/** The operation must be in the log of the primary, for good: else what is read could be rolled back. */
async function assertCommitted(
  cluster: Cluster,
  address: string,
  reached: Reached,
  signal: AbortSignal,
): Promise<void> {
  const until = systemClock.now() + COMMIT_WITHIN_MS;
  while (systemClock.now() < until) {
    throwIfAborted(signal);
    const reply = await cluster.command('local', {
      find: 'oplog.rs',
      filter: { ts: timestampOf(reached.position) },
      limit: 1,
      projection: { ts: 1, t: 1 },
      singleBatch: true,
      readConcern: { level: 'majority' },
    });
    const entry = (reply['cursor'].firstBatch as Document[])[0];
    if (entry && Number(entry['t']) === reached.term) return;
    await systemClock.sleep(LOOK_AGAIN_MS, signal);
  }
  throw new GodwitError('GW7010', `What ${address} had applied last is not acknowledged by a majority`, {
    details: { member: address, position: reached.position },
  });
}
