import type { Document } from 'bson';
import { GodwitError, isRetryable } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import type { WireConnection } from '../wire/connection.ts';

/** How one member of a replica set felt since the look before. */
export interface MemberLoad {
  readonly cluster: string;
  readonly address: string;
  readonly state: string;
  /** Behind its primary; 0 for the primary itself, undefined when not known. */
  readonly lagSeconds?: number;
  /** Operations that wait for a lock or for a ticket of the storage engine. */
  readonly queued?: number;
  /** Share of the machine's processors that the server used, percent. */
  readonly processor?: number;
  /** Share of the storage engine's tickets in use, the fuller kind, percent. */
  readonly tickets?: number;
  /** Share of the cache that is dirty, percent. */
  readonly dirty?: number;
  /** The primary holds writers back because a majority falls behind. */
  readonly flowControl?: boolean;
}

interface Counted {
  readonly atMs: number;
  readonly processorMicros: number;
}

interface Watched {
  connection: WireConnection | undefined;
  before: Counted | undefined;
  cores: number | undefined;
  /** It cannot be reached from here, or may not be asked. */
  silent: boolean;
}

const CONNECT_WITHIN_MS = 2_000;
/** A member that did not answer is asked again so many looks later. */
const SILENT_LOOKS = 30;

/**
 * Looks at every member of a replica set that holds data, hidden ones too, over
 * a connection to each. One that cannot be asked is known by its lag alone.
 */
export class MembersLoad {
  readonly #cluster: Cluster;
  readonly #now: () => number;
  readonly #watched = new Map<string, Watched>();
  #allowed = true;
  #looks = 0;

  constructor(cluster: Cluster, now: () => number = Date.now) {
    this.#cluster = cluster;
    this.#now = now;
  }

  async sample(): Promise<MemberLoad[]> {
    const members = await this.#members();
    this.#looks += 1;
    return Promise.all(members.map(async (member) => ({ ...member, ...(await this.#look(member.address)) })));
  }

  close(): void {
    for (const { connection } of this.#watched.values()) connection?.close();
    this.#watched.clear();
  }

  async #members(): Promise<MemberLoad[]> {
    if (!this.#allowed) return [];
    let status: Document;
    try {
      status = await this.#cluster.command('admin', { replSetGetStatus: 1 });
    } catch (error) {
      if (!(error instanceof GodwitError) || error.code !== 'GW2004') throw error;
      this.#allowed = false;
      return [];
    }
    const members = status['members'] as Document[];
    const dateOf = (member: Document | undefined) => (member?.['optimeDate'] as Date | undefined)?.getTime();
    const ahead = dateOf(members.find((member) => member['stateStr'] === 'PRIMARY'));
    return members
      .filter((member) => member['stateStr'] === 'PRIMARY' || member['stateStr'] === 'SECONDARY')
      .map((member) => {
        const reached = dateOf(member);
        return {
          cluster: this.#cluster.name,
          address: String(member['name']),
          state: String(member['stateStr']).toLowerCase(),
          ...(ahead === undefined || reached === undefined
            ? {}
            : { lagSeconds: Math.max(0, (ahead - reached) / 1000) }),
        };
      });
  }

  async #look(address: string): Promise<Partial<MemberLoad>> {
    const watched = this.#watched.get(address) ?? {
      connection: undefined,
      before: undefined,
      cores: undefined,
      silent: false,
    };
    this.#watched.set(address, watched);
    if (watched.silent && this.#looks % SILENT_LOOKS !== 0) return {};
    try {
      return await this.#ask(address, watched);
    } catch (error) {
      if (!isRetryable(error) && !(error instanceof GodwitError && /^GW2/.test(error.code))) throw error;
      watched.connection?.close();
      watched.connection = undefined;
      watched.before = undefined;
      watched.silent = true;
      return {};
    }
  }

  async #ask(address: string, watched: Watched): Promise<Partial<MemberLoad>> {
    if (!watched.connection || watched.connection.closed)
      watched.connection = await this.#cluster.connectMember(address, AbortSignal.timeout(CONNECT_WITHIN_MS));
    watched.silent = false;
    watched.cores ??= await coresOf(watched.connection);
    const status = await watched.connection.run({
      serverStatus: 1,
      locks: 0,
      metrics: 0,
      tcmalloc: 0,
      repl: 0,
      $db: 'admin',
    });
    const now: Counted = { atMs: this.#now(), processorMicros: processorMicros(status) };
    const { before } = watched;
    watched.before = now;
    return measured(status, before, now, watched.cores);
  }
}

/** What one answer of the server says, with the one before. */
export function measured(
  status: Document,
  before: Counted | undefined,
  now: Counted,
  cores: number,
): Partial<MemberLoad> {
  const cache = status['wiredTiger']?.cache as Document | undefined;
  const most = Number(cache?.['maximum bytes configured'] ?? 0);
  const elapsedMicros = before ? (now.atMs - before.atMs) * 1000 : 0;
  const used = before ? now.processorMicros - before.processorMicros : 0;
  return {
    queued: Number(status['globalLock']?.currentQueue?.total ?? 0),
    // A counter that went back belongs to a server that was started again.
    ...(elapsedMicros > 0 && used >= 0 ? { processor: Math.min(100, (used / elapsedMicros / cores) * 100) } : {}),
    tickets: fullestTickets(status['wiredTiger']?.concurrentTransactions as Document | undefined),
    dirty: most > 0 ? (Number(cache?.['tracked dirty bytes in the cache'] ?? 0) / most) * 100 : 0,
    flowControl: status['flowControl']?.isLagged === true,
  };
}

function fullestTickets(kinds: Document | undefined): number {
  const share = (kind: Document | undefined) => {
    const total = Number(kind?.['totalTickets'] ?? 0);
    return total > 0 ? (Number(kind?.['out'] ?? 0) / total) * 100 : 0;
  };
  return Math.max(share(kinds?.['read']), share(kinds?.['write']));
}

function processorMicros(status: Document): number {
  const info = status['extra_info'] as Document | undefined;
  return Number(info?.['user_time_us'] ?? 0) + Number(info?.['system_time_us'] ?? 0);
}

async function coresOf(connection: WireConnection): Promise<number> {
  try {
    const { system } = await connection.run({ hostInfo: 1, $db: 'admin' });
    return Math.max(1, Number(system?.numCores ?? 1));
  } catch (error) {
    // Without it the figure is of one processor, and errs towards care.
    if (error instanceof GodwitError && error.code === 'GW2004') return 1;
    throw error;
  }
}
