import type { Document } from 'bson';
import { GodwitError } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import type { Selection } from '../namespaces.ts';

/** Operations of one kind between two looks. */
export interface Latency {
  readonly ops: number;
  /** Mean; 0 when there were none. */
  readonly meanMs: number;
}

/** How the source felt since the look before. */
export interface LoadSample {
  readonly seconds: number;
  /** Of namespaces that are not chosen. */
  readonly reads: Latency;
  readonly writes: Latency;
  /** Share of the WiredTiger cache that is dirty, and that is used; percent. */
  readonly cacheDirty: number;
  readonly cacheUsed: number;
  /** Of the secondary that is furthest behind; undefined when not known. */
  readonly lagSeconds?: number;
}

interface Counter {
  readonly ops: number;
  readonly micros: number;
}

interface Counters {
  readonly reads: Counter;
  readonly writes: Counter;
}

const SYSTEM_DATABASES = /^(?:admin|config|local)\./;
const NONE: Counters = { reads: { ops: 0, micros: 0 }, writes: { ops: 0, micros: 0 } };

/**
 * Watches what the other businesses on the source feel, as the server counts
 * it. `top` counts per namespace, so that our own reading is left out; where
 * it is not allowed, the server's overall write latency stands in, for we
 * write next to nothing there.
 */
export class NeighbourLoad {
  readonly #cluster: Cluster;
  readonly #selection: Selection;
  readonly #now: () => number;
  #before: Map<string, Counters> | undefined;
  #lookedAt = 0;
  #topAllowed = true;
  #statusAllowed = true;

  constructor(cluster: Cluster, selection: Selection, now: () => number = Date.now) {
    this.#cluster = cluster;
    this.#selection = selection;
    this.#now = now;
  }

  /** The load since the last call; the first call has nothing to compare with and tells of none. */
  async sample(): Promise<LoadSample> {
    const status = await this.#cluster.command('admin', {
      serverStatus: 1,
      locks: 0,
      metrics: 0,
      tcmalloc: 0,
      repl: 0,
    });
    const counters = (await this.#readTop()) ?? new Map([['', overall(status)]]);
    const now = this.#now();
    const before = this.#before;
    const delta = before ? difference(before, counters) : NONE;
    const seconds = before ? (now - this.#lookedAt) / 1000 : 0;
    this.#before = counters;
    this.#lookedAt = now;
    const lagSeconds = await this.#readLag();
    return {
      seconds,
      reads: latency(delta.reads),
      writes: latency(delta.writes),
      ...cache(status),
      ...(lagSeconds === undefined ? {} : { lagSeconds }),
    };
  }

  async #readTop(): Promise<Map<string, Counters> | undefined> {
    if (!this.#topAllowed) return undefined;
    let totals: Document;
    try {
      totals = (await this.#cluster.command('admin', { top: 1 }))['totals'];
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#topAllowed = false;
      this.#before = undefined;
      return undefined;
    }
    const out = new Map<string, Counters>();
    for (const [namespace, counts] of Object.entries(totals)) {
      if (typeof counts !== 'object' || SYSTEM_DATABASES.test(namespace) || !this.#isNeighbours(namespace)) continue;
      out.set(namespace, { reads: counter(counts['readLock']), writes: counter(counts['writeLock']) });
    }
    return out;
  }

  #isNeighbours(namespace: string): boolean {
    const dot = namespace.indexOf('.');
    return dot > 0 && !this.#selection.includes(namespace.slice(0, dot), namespace.slice(dot + 1));
  }

  async #readLag(): Promise<number | undefined> {
    if (!this.#statusAllowed) return undefined;
    try {
      return furthestBehind((await this.#cluster.command('admin', { replSetGetStatus: 1 }))['members'] as Document[]);
    } catch (error) {
      if (!isRefusal(error)) throw error;
      this.#statusAllowed = false;
      return undefined;
    }
  }
}

function isRefusal(error: unknown): boolean {
  return error instanceof GodwitError && error.code === 'GW2004';
}

function counter(counts: Document | undefined): Counter {
  return { ops: Number(counts?.['count'] ?? 0), micros: Number(counts?.['time'] ?? 0) };
}

function overall(status: Document): Counters {
  const writes = status['opLatencies']?.writes as Document | undefined;
  return { reads: NONE.reads, writes: { ops: Number(writes?.['ops'] ?? 0), micros: Number(writes?.['latency'] ?? 0) } };
}

/** Namespaces whose counters went back (dropped and made again, another primary) count as new. */
function difference(before: ReadonlyMap<string, Counters>, now: ReadonlyMap<string, Counters>): Counters {
  const total = { reads: { ops: 0, micros: 0 }, writes: { ops: 0, micros: 0 } };
  for (const [namespace, counters] of now) {
    for (const kind of ['reads', 'writes'] as const) {
      const earlier = before.get(namespace)?.[kind] ?? NONE[kind];
      const base = earlier.ops <= counters[kind].ops && earlier.micros <= counters[kind].micros ? earlier : NONE[kind];
      total[kind].ops += counters[kind].ops - base.ops;
      total[kind].micros += counters[kind].micros - base.micros;
    }
  }
  return total;
}

function latency({ ops, micros }: Counter): Latency {
  return { ops, meanMs: ops > 0 ? micros / ops / 1000 : 0 };
}

function cache(status: Document): { cacheDirty: number; cacheUsed: number } {
  const counts = status['wiredTiger']?.cache as Document | undefined;
  const most = Number(counts?.['maximum bytes configured'] ?? 0);
  const share = (name: string) => (most > 0 ? (Number(counts?.[name] ?? 0) / most) * 100 : 0);
  return { cacheDirty: share('tracked dirty bytes in the cache'), cacheUsed: share('bytes currently in the cache') };
}

function furthestBehind(members: readonly Document[]): number | undefined {
  const dateOf = (member: Document) => (member['optimeDate'] as Date | undefined)?.getTime() ?? 0;
  const primary = members.find((member) => member['stateStr'] === 'PRIMARY');
  const secondaries = members.filter((member) => member['stateStr'] === 'SECONDARY');
  if (!primary || secondaries.length === 0) return undefined;
  return Math.max(0, ...secondaries.map((member) => (dateOf(primary) - dateOf(member)) / 1000));
}
