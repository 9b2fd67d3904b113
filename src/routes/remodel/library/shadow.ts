import { setTimeout as sleep } from 'node:timers/promises';
import type { Identity, Model, RemodelStore, ShadowCount } from '../../../kernel/remodel/index.ts';
import { describeError, type OnEvent } from '../process/index.ts';
import { differences } from './differences.ts';
import type { Metrics } from './metrics.ts';
import { oldRowOf } from './read.ts';
import type { AnySides, ReadOptions } from './types.ts';

/** Comparisons at a time in one process; what comes while all are taken is dropped and counted. */
const MOST_IN_FLIGHT = 4;
/** How long a comparison may take, and how long the backlog of a suspect may take to drain. */
const DEADLINE_MS = 5_000;
/** How often a suspect is read again before it counts as changing too fast to tell. */
const ROUNDS = 3;

type Side = 'old' | 'new';
type Outcome = 'same' | 'pending' | 'confirmed' | 'failed' | 'late' | 'dropped';

export interface ShadowRequest {
  readonly model: Model;
  readonly identity: Identity;
  readonly sides: AnySides;
  readonly options: Pick<ReadOptions<unknown, unknown>, 'compare' | 'ignore' | 'clean'>;
  /** Which side the user's answer came from, and the answer. */
  readonly side: Side;
  readonly answer: unknown;
}

export interface ShadowOptions<Tx> {
  readonly store: RemodelStore<Tx>;
  readonly metrics: Metrics;
  readonly onEvent: OnEvent;
  readonly deadlineMs?: number;
}

/**
 * Reads the other side after the user has the answer, and compares. It has a
 * few places of its own: a side that hangs holds its place, so that the load
 * stays bounded, and never a user.
 */
export class Shadow<Tx> {
  readonly #options: ShadowOptions<Tx>;
  readonly #deadlineMs: number;
  readonly #found = new Map<Model, { same: number; pending: number; confirmed: number; failed: number }>();
  readonly #stop = new AbortController();
  #inFlight = 0;

  constructor(options: ShadowOptions<Tx>) {
    this.#options = options;
    this.#deadlineMs = options.deadlineMs ?? DEADLINE_MS;
  }

  get inFlight(): number {
    return this.#inFlight;
  }

  /** Returns at once. The answer is copied, so that the application may change its own. */
  offer(request: ShadowRequest): void {
    const { model } = request;
    if (this.#stop.signal.aborted) return;
    if (this.#inFlight >= MOST_IN_FLIGHT) {
      this.#count(model, 'dropped');
      return;
    }
    this.#inFlight += 1;
    const copied = { ...request, answer: copy(request.answer) };
    setImmediate(() => void this.#run(copied));
  }

  /** Writes what was found to the store; what cannot be written is kept for the next time. */
  async flush(): Promise<void> {
    for (const [model, found] of [...this.#found]) {
      this.#found.delete(model);
      try {
        await this.#options.store.recordShadow(model, found);
      } catch (error) {
        this.#add(model, found);
        throw error;
      }
    }
  }

  /** No new comparisons; those under way are told to stop, and not waited for. */
  close(): void {
    this.#stop.abort();
  }

  async #run(request: ShadowRequest): Promise<void> {
    const late = AbortSignal.any([AbortSignal.timeout(this.#deadlineMs), this.#stop.signal]);
    const onLate = () => this.#count(request.model, 'late');
    late.addEventListener('abort', onLate, { once: true });
    let outcome: Outcome = 'failed';
    try {
      outcome = await this.#compare(request, late);
    } catch (error) {
      const { model, side } = request;
      const other = side === 'old' ? 'new' : 'old';
      if (!late.aborted)
        this.#options.onEvent({ kind: 'shadow-failed', remodel: model.name, side: other, ...describeError(error) });
    }
    late.removeEventListener('abort', onLate);
    this.#inFlight -= 1;
    if (!late.aborted) this.#count(request.model, outcome);
  }

  async #compare(request: ShadowRequest, signal: AbortSignal): Promise<Outcome> {
    const { side, answer, sides } = request;
    if (side === 'old') {
      const fresh = await sides.new({ signal });
      if (this.#same(request, answer, fresh)) return 'same';
    } else {
      const old = await this.#old(request, signal);
      if (old === undefined) return 'pending';
      if (this.#same(request, old.answer, answer)) return 'same';
    }
    return (await this.#isPending(request)) ? 'pending' : this.#suspect(request, signal);
  }

  /** A difference with nothing on its way may still be a write between the two reads: only what stays is confirmed. */
  async #suspect(request: ShadowRequest, signal: AbortSignal): Promise<Outcome> {
    this.#options.metrics.count('godwit_shadow_total', { remodel: request.model.name, outcome: 'suspect' });
    for (let round = 0; round < ROUNDS; round++) {
      await this.#drained(request, signal);
      const old = await this.#old(request, signal);
      const fresh = await request.sides.new({ signal });
      const oldAgain = await this.#old(request, signal);
      const freshAgain = await request.sides.new({ signal });
      if (old === undefined || oldAgain === undefined || (await this.#isPending(request))) continue;
      if (this.#same(request, old.answer, fresh) || this.#same(request, oldAgain.answer, freshAgain)) return 'pending';
      const isStable = differences(old, oldAgain).length === 0 && differences(fresh, freshAgain).length === 0;
      if (isStable) return this.#confirm(request, old.answer, fresh);
    }
    return 'pending';
  }

  #confirm({ model, identity, options }: ShadowRequest, old: unknown, fresh: unknown): Outcome {
    const { clean, ignore } = options;
    const shown = clean === undefined ? {} : { old: clean(old), new: clean(fresh) };
    const paths = differences(old, fresh, ignore);
    this.#options.onEvent({ kind: 'shadow-difference', remodel: model.name, identity, paths, ...shown });
    return 'confirmed';
  }

  /** The old side; undefined when it can only read the table, and the table is behind. */
  async #old({ model, identity, sides }: ShadowRequest, signal: AbortSignal): Promise<{ answer: unknown } | undefined> {
    const state = await this.#options.store.pendingState(model, undefined, identity);
    if (state === undefined) return { answer: await sides.old(undefined, { signal }) };
    return sides.old.length === 0 ? undefined : { answer: await sides.old(oldRowOf(model, state), { signal }) };
  }

  async #isPending({ model, identity }: ShadowRequest): Promise<boolean> {
    return (await this.#options.store.pendingState(model, undefined, identity)) !== undefined;
  }

  async #drained(request: ShadowRequest, signal: AbortSignal): Promise<void> {
    while (await this.#isPending(request)) await sleep(20, undefined, { signal });
  }

  #same({ options }: ShadowRequest, old: unknown, fresh: unknown): boolean {
    const { compare, ignore } = options;
    return compare === undefined ? differences(old, fresh, ignore).length === 0 : compare(old, fresh);
  }

  #count(model: Model, outcome: Outcome): void {
    this.#options.metrics.count('godwit_shadow_total', { remodel: model.name, outcome });
    if (outcome === 'dropped') return;
    this.#add(model, { same: 0, pending: 0, confirmed: 0, failed: 0, [outcome === 'late' ? 'failed' : outcome]: 1 });
  }

  #add(model: Model, more: ShadowCount): void {
    const found = this.#found.get(model) ?? { same: 0, pending: 0, confirmed: 0, failed: 0 };
    for (const kind of ['same', 'pending', 'confirmed', 'failed'] as const) found[kind] += more[kind];
    this.#found.set(model, found);
  }
}

/** A copy where that is possible: an answer with functions in it is compared as it is by then. */
function copy(answer: unknown): unknown {
  try {
    return structuredClone(answer);
  } catch {
    return answer;
  }
}
