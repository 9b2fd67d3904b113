import { systemClock } from '../../../kernel/clock.ts';
import type { Cluster } from '../cluster.ts';
import { followers } from './choose.ts';
import { readSet, type SetView } from './members.ts';

const LOOKS = 40;
const LOOK_EVERY_MS = 250;
/** So many looks apart a member is asked again. */
const ASK_AGAIN = 10;

/**
 * Has the members that take their log from one take it from the primary: they
 * would stand still with it until they notice, and majority writes with them.
 * Gives why that did not work; undefined when nobody follows it any more.
 */
export async function redirectFollowers(
  cluster: Cluster,
  address: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  for (let look = 0; look < LOOKS; look += 1) {
    const set = await readSet(cluster);
    if (followersOf(set, address).length === 0) return undefined;
    if (look % ASK_AGAIN === 0) {
      const refused = await turnAway(cluster, set, address, signal);
      if (refused !== undefined) return refused;
    }
    await systemClock.sleep(LOOK_EVERY_MS, signal);
  }
  return 'other members go on taking their log from it';
}

/** Asks each follower of a member once to follow the primary. Gives why one cannot. */
export async function turnAway(
  cluster: Cluster,
  set: SetView,
  address: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  const primary = set.members.find((one) => one.state === 'PRIMARY');
  if (primary === undefined) return undefined;
  for (const follower of followersOf(set, address)) {
    const refused = await syncFrom(cluster, follower, primary.address, signal);
    if (refused !== undefined) return `${follower} takes its log from it, and cannot be turned away (${refused})`;
  }
  return undefined;
}

function followersOf(set: SetView, address: string): string[] {
  const member = set.members.find((one) => one.address === address);
  const all = member ? followers(set, member) : [];
  return all.filter(({ healthy }) => healthy).map((one) => one.address);
}

async function syncFrom(
  cluster: Cluster,
  follower: string,
  primary: string,
  signal: AbortSignal,
): Promise<string | undefined> {
  try {
    const connection = await cluster.connectMember(follower, signal);
    try {
      await connection.run({ replSetSyncFrom: primary, $db: 'admin' });
      return undefined;
    } finally {
      connection.close();
    }
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}
