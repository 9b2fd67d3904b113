/**
 * A workload that does everything at once. The sequence of its choices follows from the seed; when each
 * happens, and in what order the server takes them, does not.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { isExpected } from './expected-errors.ts';
import type { Kind } from './kind.ts';
import { DOCUMENT_KINDS } from './kinds/documents.ts';
import { INDEX_KINDS } from './kinds/indexes.ts';
import { SPECIAL_KINDS } from './kinds/special.ts';
import { STRUCTURE_KINDS } from './kinds/structure.ts';
import { TRANSACTION_KINDS } from './kinds/transactions.ts';
import { UPDATE_KINDS } from './kinds/updates.ts';
import { Rng } from './rng.ts';
import { type Ledger, layOut, tortureNames, type World } from './world.ts';

const ALL_KINDS: readonly Kind[] = [
  ...DOCUMENT_KINDS,
  ...UPDATE_KINDS,
  ...TRANSACTION_KINDS,
  ...SPECIAL_KINDS,
  ...STRUCTURE_KINDS,
  ...INDEX_KINDS,
];

/** Names of all kinds, for `kinds`. */
export const TORTURE_KINDS: readonly string[] = ALL_KINDS.map((kind) => kind.name);

export interface TortureOptions {
  readonly uri: string;
  readonly seed: number;
  /** The main database; `tortureNames` says which others belong to it. */
  readonly db: string;
  /** Operations per second, at most. Default 300. */
  readonly rate?: number;
  /** Which kinds; default all. */
  readonly kinds?: (name: string) => boolean;
  /** Business documents to begin with, about 600 bytes each. Default 3000. */
  readonly documents?: number;
  /** Operations at once. Default 6. */
  readonly workers?: number;
}

export interface KindCount {
  /** Ended with success. */
  done: number;
  /** Refused, or cut short by a fault, as may happen. */
  refused: number;
}

export interface TortureLog {
  readonly counts: Readonly<Record<string, KindCount>>;
  readonly operations: number;
  /** What was not to be expected, with its kind; at most 50 kept. */
  readonly unexpected: readonly string[];
  readonly unexpectedCount: number;
  readonly ledger: Ledger;
  readonly seconds: number;
}

export interface Torture {
  /** Lets what is under way finish, and closes the client. */
  stop(): Promise<TortureLog>;
  /** Resolves once nothing is under way. */
  pause(): Promise<void>;
  resume(): void;
  /** Operations so far. */
  readonly operations: number;
  /** The same by kind. */
  readonly counts: Readonly<Record<string, KindCount>>;
}

const MOST_KEPT = 50;
/** Longer than any operation may take: server selection, socket and transaction have their own limits. */
const STOP_WITHIN_MS = 180_000;

/** Lays the databases out and begins. */
export async function startTorture(options: TortureOptions): Promise<Torture> {
  const client = new MongoClient(options.uri, {
    serverSelectionTimeoutMS: 15_000,
    socketTimeoutMS: 20_000,
    maxPoolSize: 20,
    retryWrites: true,
  });
  await client.connect();
  const names = tortureNames(options.db);
  const stopping = new AbortController();
  const world: World = {
    client,
    names,
    main: client.db(names.main),
    scratch: client.db(names.scratch),
    neighbour: client.db(names.neighbour),
    ledger: { attempted: new Set(), acknowledged: new Set() },
    signal: stopping.signal,
  };
  const rng = new Rng(options.seed);
  await layOut(world, rng.fork(), options.documents ?? 3000);
  return new Workload(world, rng, options, stopping);
}

class Workload implements Torture {
  readonly #world: World;
  readonly #stopping: AbortController;
  readonly #next: () => { kind: Kind; rng: Rng };
  readonly #gapMs: number;
  readonly #counts: Record<string, KindCount> = {};
  readonly #unexpected: string[] = [];
  readonly #workers: Promise<void>[] = [];
  readonly #startedMs = performance.now();
  #unexpectedCount = 0;
  #operations = 0;
  #dueMs = performance.now();
  /** Kinds under way. */
  readonly #busy: Kind[] = [];
  #paused: { readonly promise: Promise<void>; readonly resume: () => void } | undefined;

  constructor(world: World, rng: Rng, options: TortureOptions, stopping: AbortController) {
    this.#world = world;
    this.#stopping = stopping;
    this.#gapMs = 1000 / (options.rate ?? 300);
    const kinds = ALL_KINDS.filter((kind) => options.kinds?.(kind.name) ?? true);
    for (const { name } of kinds) this.#counts[name] = { done: 0, refused: 0 };
    this.#next = choices(kinds, rng);
    for (let i = options.workers ?? 6; i > 0; i -= 1) this.#workers.push(this.#work());
  }

  get counts(): Readonly<Record<string, KindCount>> {
    return this.#counts;
  }

  get operations(): number {
    return this.#operations;
  }

  async pause(): Promise<void> {
    if (this.#paused === undefined) {
      let resume = (): void => {};
      const promise = new Promise<void>((resolve) => {
        resume = resolve;
      });
      this.#paused = { promise, resume };
    }
    while (this.#busy.length > 0) await sleep(10);
  }

  resume(): void {
    this.#paused?.resume();
    this.#paused = undefined;
  }

  async stop(): Promise<TortureLog> {
    this.#stopping.abort();
    this.resume();
    await this.#ended();
    await this.#world.client.close();
    return {
      counts: this.#counts,
      operations: this.#operations,
      unexpected: this.#unexpected,
      unexpectedCount: this.#unexpectedCount,
      ledger: this.#world.ledger,
      seconds: (performance.now() - this.#startedMs) / 1000,
    };
  }

  async #ended(): Promise<void> {
    const late = new AbortController();
    const isLate = sleep(STOP_WITHIN_MS, true, { signal: late.signal }).catch(() => false);
    const ended = Promise.all(this.#workers).then(() => false);
    if (await Promise.race([ended, isLate]))
      throw new Error(
        `the workload does not end: ${this.#busy.map(({ name }) => name).join(', ') || 'nothing'} under way`,
      );
    late.abort();
  }

  async #work(): Promise<void> {
    const { signal } = this.#stopping;
    while (!signal.aborted) {
      await this.#paused?.promise;
      // One schedule for all workers; time lost to a fault is not made up for.
      const nowMs = performance.now();
      this.#dueMs = Math.max(this.#dueMs + this.#gapMs, nowMs);
      if (this.#dueMs > nowMs) await sleep(this.#dueMs - nowMs);
      if (signal.aborted || this.#paused !== undefined) continue;
      await this.#one();
    }
  }

  async #one(): Promise<void> {
    const { kind, rng } = this.#next();
    const count = this.#counts[kind.name] as KindCount;
    this.#operations += 1;
    this.#busy.push(kind);
    try {
      await kind.run(this.#world, rng);
      count.done += 1;
    } catch (error) {
      count.refused += 1;
      if (!isExpected(error)) this.#complain(kind, error);
    } finally {
      this.#busy.splice(this.#busy.indexOf(kind), 1);
    }
  }

  #complain(kind: Kind, error: unknown): void {
    this.#unexpectedCount += 1;
    if (this.#unexpected.length >= MOST_KEPT) return;
    const { name, message, code } = error as Error & { code?: unknown };
    this.#unexpected.push(`${kind.name}: ${name} ${String(code ?? '')}: ${message}`);
  }
}

/** First every kind once, in a seeded order, so that short runs have them all; then by weight. */
function choices(kinds: readonly Kind[], rng: Rng): () => { kind: Kind; rng: Rng } {
  const first = rng.shuffled(kinds);
  const total = kinds.reduce((sum, kind) => sum + kind.weight, 0);
  return () => {
    const kind = first.pop() ?? byWeight(kinds, rng.next() * total);
    return { kind, rng: rng.fork() };
  };
}

function byWeight(kinds: readonly Kind[], at: number): Kind {
  let left = at;
  for (const kind of kinds) {
    left -= kind.weight;
    if (left < 0) return kind;
  }
  return kinds[kinds.length - 1] as Kind;
}
