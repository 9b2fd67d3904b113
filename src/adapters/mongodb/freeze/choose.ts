/** Which member of a replica set may be made to stand still, and why the others may not. Pure. */
import type { MemberView, SetView } from './members.ts';

/** What is thought of one member. */
export interface MemberVerdict {
  readonly address: string;
  readonly fit: boolean;
  /** What speaks for it, or why it must not be frozen, in words. */
  readonly why: string;
}

/** Further behind than this, a member would only give an old time point, and catches up badly. */
const MOST_LAG_SECONDS = 10;

/** All members, those that may be frozen first, the best of them at the head. */
export function judgeMembers(set: SetView): MemberVerdict[] {
  const verdicts = set.members.map((member) => {
    const against = objection(set, member);
    return { member, verdict: { address: member.address, fit: against === undefined, why: against ?? praise(member) } };
  });
  return verdicts
    .sort((a, b) => Number(b.verdict.fit) - Number(a.verdict.fit) || order(set, a.member, b.member))
    .map(({ verdict }) => verdict);
}

/** Why one member must not stand still, now; undefined when it may. */
export function objection(set: SetView, member: MemberView): string | undefined {
  return unsuited(member) ?? needed(set, member);
}

/**
 * Why the others need this member, while it stands still itself: it votes and
 * answers, but acknowledges nothing and shows readers the past.
 */
export function needed(set: SetView, member: MemberView): string | undefined {
  const others = set.members.filter((other) => other !== member && acknowledges(other));
  const voters = others.filter((other) => other.votes > 0);
  if (voters.length < set.majority) {
    return `without it ${counted(voters.length)} would be left to acknowledge majority writes, which take ${set.majority}`;
  }
  const { defaultW } = set;
  if (typeof defaultW === 'number' && others.length < defaultW) {
    return `without it ${counted(others.length)} would be left for the default write concern w: ${defaultW}`;
  }
  for (const [tag, least] of Object.entries(typeof defaultW === 'string' ? (set.modes[defaultW] ?? {}) : {})) {
    const values = new Set(others.map((other) => other.tags[tag]).filter((value) => value !== undefined));
    if (values.size < least)
      return `the default write concern ${defaultW} takes ${least} values of the tag ${tag}, and ${values.size} would be left`;
  }
  if (!member.hidden && !others.some((other) => other.state === 'SECONDARY' && !other.hidden))
    return 'it is the last secondary that readers can reach';
  return undefined;
}

function unsuited(member: MemberView): string | undefined {
  if (member.arbiter) return 'it is an arbiter and holds no data';
  if (!member.healthy) return 'the primary cannot reach it';
  if (member.state === 'PRIMARY') return 'it is the primary';
  if (member.state !== 'SECONDARY') return `it is ${member.state}`;
  if (member.locked) return 'its writes are stopped already, by somebody else';
  if (member.delaySeconds > 0) return `it is kept ${member.delaySeconds} s behind on purpose`;
  if (!member.buildsIndexes) return 'it builds no indexes, so it does not know the structure';
  if (member.lagSeconds > MOST_LAG_SECONDS) return `it is ${Math.round(member.lagSeconds)} s behind`;
  return undefined;
}

/** Whether writes may wait for this member. */
function acknowledges(member: MemberView): boolean {
  return (
    !member.arbiter &&
    !member.locked &&
    member.healthy &&
    (member.state === 'PRIMARY' || member.state === 'SECONDARY') &&
    member.delaySeconds === 0 &&
    member.lagSeconds <= MOST_LAG_SECONDS
  );
}

function praise(member: MemberView): string {
  const place = member.hidden ? 'hidden' : `priority ${member.priority}`;
  return `${place}, ${member.lagSeconds.toFixed(0)} s behind`;
}

/** Hidden ones first, then the least likely to be elected, those whose vote no index build waits for, those nobody follows, the least behind. */
function order(set: SetView, a: MemberView, b: MemberView): number {
  return (
    Number(b.hidden) - Number(a.hidden) ||
    a.priority - b.priority ||
    a.votes - b.votes ||
    followers(set, a).length - followers(set, b).length ||
    a.lagSeconds - b.lagSeconds ||
    a.address.localeCompare(b.address)
  );
}

/** The members that take their log from this one. */
export function followers(set: SetView, member: MemberView): MemberView[] {
  return set.members.filter((other) => other.syncsFrom === member.address);
}

function counted(number: number): string {
  return number === 1 ? '1 member' : `${number} members`;
}
