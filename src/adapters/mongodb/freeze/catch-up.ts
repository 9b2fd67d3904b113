import { systemClock } from '../../../kernel/clock.ts';
import { isRetryable } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import { readSet } from './members.ts';

/** How far behind a member is that was let go again. */
export interface CatchUp {
  readonly behindSeconds: number;
  /** Since it was let go. */
  readonly seconds: number;
  readonly done: boolean;
}

const LOOK_EVERY_MS = 1_000;
/** Within this it counts as level: what is told of members is about so old. */
const LEVEL_SECONDS = 2;

/** Tells how a member catches up, until it has or the signal is set. */
export async function watchCatchUp(
  cluster: Cluster,
  address: string,
  signal: AbortSignal,
  onLook: (look: CatchUp) => void,
): Promise<void> {
  const began = systemClock.now();
  while (!signal.aborted) {
    try {
      const member = (await readSet(cluster)).members.find((one) => one.address === address);
      if (member === undefined || signal.aborted) return;
      const done = member.state === 'SECONDARY' && member.lagSeconds <= LEVEL_SECONDS;
      onLook({ behindSeconds: member.lagSeconds, seconds: (systemClock.now() - began) / 1000, done });
      if (done) return;
    } catch (error) {
      if (!isRetryable(error)) throw error;
    }
    await systemClock.sleep(LOOK_EVERY_MS, signal);
  }
}
