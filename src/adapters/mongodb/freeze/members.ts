import type { Document } from 'bson';
import { GodwitError, isRetryable, throwIfAborted } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import { ask } from '../preflight/context.ts';
import type { WireConnection } from '../wire/connection.ts';

/** One member of a replica set, by its configuration and as the primary sees it. */
export interface MemberView {
  /** `host:port` as in the configuration. */
  readonly address: string;
  readonly state: string;
  readonly healthy: boolean;
  readonly hidden: boolean;
  readonly priority: number;
  readonly votes: number;
  readonly arbiter: boolean;
  readonly buildsIndexes: boolean;
  /** How far it is kept behind on purpose. */
  readonly delaySeconds: number;
  readonly tags: Readonly<Record<string, string>>;
  /** Behind the primary, as far as the primary knows. */
  readonly lagSeconds: number;
  /** The member it takes its log from. */
  readonly syncsFrom: string;
  /** Its writes are stopped by an `fsync` lock. */
  readonly locked: boolean;
}

/** What of a replica set decides which member may stand still for a while. */
export interface SetView {
  readonly members: readonly MemberView[];
  /** So many voting members with data make a majority write durable. */
  readonly majority: number;
  /** `w` of the cluster-wide default write concern. */
  readonly defaultW: number | string;
  /** Write concerns by tags: how many different values of each tag must have it. */
  readonly modes: Readonly<Record<string, Readonly<Record<string, number>>>>;
}

/** Reads it from the primary. Throws GW2004 where that is not allowed. */
export async function readSet(cluster: Cluster): Promise<SetView> {
  const { config } = await cluster.command('admin', { replSetGetConfig: 1 });
  const status = await cluster.command('admin', { replSetGetStatus: 1 });
  const defaults = await ask(cluster, 'admin', { getDefaultRWConcern: 1 });
  return viewOf(config as Document, status, defaults);
}

/** The same, with each secondary asked whether its writes are stopped already: the primary does not know. */
export async function readSetWithLocks(cluster: Cluster, signal: AbortSignal): Promise<SetView> {
  const set = await readSet(cluster);
  const members = await Promise.all(
    set.members.map(async (member) =>
      member.state === 'SECONDARY' && (await isLocked(cluster, member.address, signal))
        ? { ...member, locked: true }
        : member,
    ),
  );
  return { ...set, members };
}

async function isLocked(cluster: Cluster, address: string, signal: AbortSignal): Promise<boolean> {
  let connection: WireConnection | undefined;
  try {
    connection = await cluster.connectMember(address, signal);
    const reply = await connection.run({ currentOp: 1, 'command.fsync': { $exists: true }, $db: 'admin' });
    return reply['fsyncLock'] === true;
  } catch (error) {
    throwIfAborted(signal);
    // One that cannot be reached from here is no candidate; whether it acknowledges, the primary knows.
    if (error instanceof GodwitError && (isRetryable(error) || error.code === 'GW2002')) return false;
    throw error;
  } finally {
    connection?.close();
  }
}

/** The same from the server's own documents. */
export function viewOf(config: Document, status: Document, defaults: Document | undefined): SetView {
  const seen = new Map((status['members'] as Document[]).map((member) => [String(member['name']), member]));
  const primary = [...seen.values()].find((member) => member['stateStr'] === 'PRIMARY');
  const members = (config['members'] as Document[]).map((member) => memberOf(member, seen, primary));
  return {
    members,
    majority: Number(status['writeMajorityCount'] ?? Math.floor(members.length / 2) + 1),
    defaultW: (defaults?.['defaultWriteConcern']?.w as number | string | undefined) ?? 'majority',
    modes: (config['settings']?.getLastErrorModes as SetView['modes'] | undefined) ?? {},
  };
}

function memberOf(member: Document, seen: ReadonlyMap<string, Document>, primary: Document | undefined): MemberView {
  const address = String(member['host']);
  const now = seen.get(address);
  return {
    address,
    state: String(now?.['stateStr'] ?? 'UNKNOWN'),
    healthy: Number(now?.['health'] ?? 0) === 1,
    hidden: member['hidden'] === true,
    priority: Number(member['priority'] ?? 1),
    votes: Number(member['votes'] ?? 1),
    arbiter: member['arbiterOnly'] === true,
    buildsIndexes: member['buildIndexes'] !== false,
    delaySeconds: Number(member['secondaryDelaySecs'] ?? member['slaveDelay'] ?? 0),
    tags: (member['tags'] as Record<string, string> | undefined) ?? {},
    lagSeconds: behind(primary, now),
    syncsFrom: String(now?.['syncSourceHost'] ?? ''),
    locked: false,
  };
}

function behind(primary: Document | undefined, member: Document | undefined): number {
  const [ahead, reached] = [primary, member].map(appliedAt);
  if (ahead === undefined || reached === undefined) return Number.POSITIVE_INFINITY;
  return Math.max(0, (ahead - reached) / 1000);
}

/** The time of heartbeats is some seconds old; what a member reports of its own accord is newer, where servers tell it. */
function appliedAt(member: Document | undefined): number | undefined {
  const times = [member?.['optimeDate'], member?.['lastAppliedWallTime']] as (Date | undefined)[];
  const known = times.flatMap((time) => (time === undefined ? [] : [time.getTime()]));
  return known.length === 0 ? undefined : Math.max(...known);
}
