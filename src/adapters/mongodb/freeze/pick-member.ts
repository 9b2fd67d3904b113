import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import { judgeMembers, type MemberVerdict } from './choose.ts';
import { MemberLock } from './member-lock.ts';
import { readSetWithLocks, type SetView } from './members.ts';
import { redirectFollowers } from './redirect.ts';

/** What is thought of each member, the one that would be taken at the head. */
export async function judgeSecondaries(
  cluster: Cluster,
  member: string | undefined,
  signal: AbortSignal,
): Promise<MemberVerdict[]> {
  return verdictsOn(await readSetWithLocks(cluster, signal), member);
}

function verdictsOn(set: SetView, member: string | undefined): MemberVerdict[] {
  const verdicts = judgeMembers(set);
  if (member === undefined) return verdicts;
  const named = verdicts.filter((verdict) => verdict.address === member);
  if (named.length > 0) return named;
  return [{ address: member, fit: false, why: `it is none of ${verdicts.map(({ address }) => address).join(', ')}` }];
}

/** The best member that can be reached and is not locked by others, with connections made while it lets anybody in. */
export async function chooseMember(
  cluster: Cluster,
  member: string | undefined,
  signal: AbortSignal,
): Promise<{ address: string; lock: MemberLock }> {
  const against: string[] = [];
  for (const { address, fit, why } of verdictsOn(await readSetWithLocks(cluster, signal), member)) {
    let refused: string | undefined = fit ? undefined : why;
    if (refused === undefined) {
      const opened = await openFree(cluster, address, signal);
      if (typeof opened !== 'string') return { address, lock: opened };
      refused = opened;
    }
    against.push(`${address}: ${refused}`);
  }
  throw new GodwitError('GW2007', `No member of the ${cluster.name} may be frozen`, { details: { members: against } });
}

/** Connections to a member whose writes nobody else has stopped and nobody else follows; or why not. */
async function openFree(cluster: Cluster, address: string, signal: AbortSignal): Promise<MemberLock | string> {
  let lock: MemberLock;
  try {
    lock = await MemberLock.open(cluster.wireTarget(address), signal);
  } catch (error) {
    throwIfAborted(signal);
    return `it cannot be reached from here: ${error instanceof Error ? error.message : String(error)}`;
  }
  try {
    const { locked, pending } = await lock.look();
    const refused = locked || pending ? 'it is locked already, by somebody else' : undefined;
    const against = refused ?? (await redirectFollowers(cluster, address, signal));
    if (against === undefined) return lock;
    lock.close();
    return against;
  } catch (error) {
    lock.close();
    throw error;
  }
}
