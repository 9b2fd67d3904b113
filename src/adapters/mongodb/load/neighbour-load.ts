import type { Document } from 'bson';
import { GodwitError, isRetryable } from '../../../kernel/errors.ts';
import type { Cluster } from '../cluster.ts';
import type { Selection } from '../namespaces.ts';
import { addHistograms, type Histogram, parseHistogram, subtractHistograms } from './histogram.ts';
import type { Strain } from './strain.ts';

/** Operations of one kind between two looks. */
export interface Latency {
  readonly ops: number;
  /** Mean; 0 when there were none. */
  readonly meanMs: number;
  /** How many took how long, where the server may be asked that. */
  readonly histogram?: Histogram;
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
  /** What members of either side suffer from, where that was looked at. */
  readonly strain?: Strain;
}

interface Counter {
  readonly ops: number;
  readonly micros: number;
}

interface Histograms {
  readonly reads: Histogram;
  readonly writes: Histogram;
}

interface Counters {
  readonly reads: Counter;
  readonly writes: Counter;
}

/** The busiest namespaces stand for all: each costs a command at every look. */
const MOST_HISTOGRAMS = 6;
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
  #histogramsBefore = new Map<string, Histograms>();
  #lookedAt = 0;
  #topAllowed = true;
  #statusAllowed = true;
  #histogramsAllowed = true;

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
    const histograms = before && this.#topAllowed ? await this.#readHistograms(before, counters) : undefined;
    const lagSeconds = await this.#readLag();
    return {
      seconds,
      reads: latency(delta.reads, histograms?.reads),
      writes: latency(delta.writes, histograms?.writes),
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

  /** Of the operations since the look before; undefined where that may not be asked, or nothing was there to compare with. */
  async #readHistograms(
    before: ReadonlyMap<string, Counters>,
    now: ReadonlyMap<string, Counters>,
  ): Promise<Histograms | undefined> {
    if (!this.#histogramsAllowed) return undefined;
    let sum: Histograms | undefined;
    const read = new Map<string, Histograms>();
    for (const namespace of busiest(before, now, MOST_HISTOGRAMS)) {
      const histograms = await this.#readHistogramsOf(namespace);
      if (!histograms) continue;
      read.set(namespace, histograms);
      const earlier = this.#histogramsBefore.get(namespace);
      if (earlier) sum = addKinds(sum, subtractKinds(histograms, earlier));
    }
    for (const [namespace, histograms] of read) this.#histogramsBefore.set(namespace, histograms);
    return sum;
  }

  async #readHistogramsOf(namespace: string): Promise<Histograms | undefined> {
    const dot = namespace.indexOf('.');
    try {
      const { cursor } = await this.#cluster.command(namespace.slice(0, dot), {
        aggregate: namespace.slice(dot + 1),
        pipeline: [{ $collStats: { latencyStats: { histograms: true } } }],
        cursor: {},
      });
      const stats = (cursor as Document)['firstBatch'][0]?.latencyStats as Document | undefined;
      return stats && { reads: parseHistogram(stats['reads']), writes: parseHistogram(stats['writes']) };
    } catch (error) {
      if (isRefusal(error)) this.#histogramsAllowed = false;
      // A namespace that went away in this moment is no reason to stop looking.
      else if (isRetryable(error)) throw error;
      return undefined;
    }
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

function busiest(before: ReadonlyMap<string, Counters>, now: ReadonlyMap<string, Counters>, most: number): string[] {
  const opsOf = (counters: Counters | undefined) => (counters ? counters.reads.ops + counters.writes.ops : 0);
  const done = [...now].map(([namespace, counters]) => ({
    namespace,
    ops: opsOf(counters) - opsOf(before.get(namespace)),
  }));
  return done
    .filter(({ ops }) => ops > 0)
    .sort((a, b) => b.ops - a.ops)
    .slice(0, most)
    .map(({ namespace }) => namespace);
}

function addKinds(a: Histograms | undefined, b: Histograms): Histograms {
  return a ? { reads: addHistograms(a.reads, b.reads), writes: addHistograms(a.writes, b.writes) } : b;
}

function subtractKinds(a: Histograms, b: Histograms): Histograms {
  return { reads: subtractHistograms(a.reads, b.reads), writes: subtractHistograms(a.writes, b.writes) };
}

function latency({ ops, micros }: Counter, histogram: Histogram | undefined): Latency {
  return { ops, meanMs: ops > 0 ? micros / ops / 1000 : 0, ...(histogram ? { histogram } : {}) };
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
