import type { CollectionSpec } from '../../adapters/mongodb/index.ts';
import { GodwitError, isRetryable } from '../../kernel/errors.ts';
import type { Position } from '../../kernel/position.ts';
import { type EarlyPositions, trackedCopy } from './copied.ts';
import { KEY, type RunContext } from './run-context.ts';

const ROUND_EVERY_MS = 3_000;

/**
 * Applies the log to collections that are ready while others are still being
 * copied, so that little is left to catch up with afterwards. A round goes
 * through the spool from its beginning: what a collection has already is passed
 * over, what is not ready is left for later. The first change of structure
 * ends it: from there on order between collections matters.
 */
export class EarlyApply {
  readonly #run: RunContext;
  readonly #ready = new Map<string, CollectionSpec>();
  readonly #all: readonly CollectionSpec[];
  readonly #over = new AbortController();
  #working: Promise<void> = Promise.resolve();

  constructor(run: RunContext, all: readonly CollectionSpec[]) {
    this.#run = run;
    this.#all = all;
  }

  /** A collection is copied and its indexes are built. */
  ready(spec: CollectionSpec): void {
    this.#ready.set(spec.uuid, spec);
  }

  start(): void {
    this.#working = this.#loop();
  }

  async stop(): Promise<void> {
    this.#over.abort(new GodwitError('GW8001', 'The copy is complete'));
    await this.#working;
  }

  async #loop(): Promise<void> {
    const { clock, signal: runSignal } = this.#run;
    const signal = AbortSignal.any([runSignal, this.#over.signal]);
    while (!signal.aborted) {
      await clock.sleep(ROUND_EVERY_MS, signal);
      // With everything ready the ordinary way is about to take over.
      if (signal.aborted || this.#ready.size === 0 || this.#ready.size === this.#all.length) continue;
      try {
        if (!(await this.#round(signal))) return;
      } catch (error) {
        if (signal.aborted) return;
        // Nothing depends on it: what is not applied early is applied afterwards.
        if (!isRetryable(error)) {
          this.#run.store.event('early-apply-off', { reason: error instanceof Error ? error.message : String(error) });
          return;
        }
      }
    }
  }

  /** One pass; false when a change of structure was met. */
  async #round(signal: AbortSignal): Promise<boolean> {
    const { store, selection, link } = this.#run;
    const upTo = link?.spooledTo;
    if (!link || !upTo) return true;
    const ready = new Set(this.#ready.keys());
    const before = store.get<EarlyPositions>(KEY.early) ?? {};
    const catalogPosition = link.generation.structureAsOf;
    // From now on documents may be ahead of the position they were read at.
    if (store.get(KEY.early) === undefined) store.set(KEY.early, before);
    const collections = this.#all.map((spec) => ({
      ...trackedCopy(this.#run, spec, selection.target(spec.db, spec.name), catalogPosition, before),
      // What is not ready is passed over, as if it were not there.
      ghost: !ready.has(spec.uuid),
    }));
    const reached = await link.applyEarly(collections, upTo, signal);
    const after: Record<string, Position> = { ...before };
    for (const uuid of ready) if (reached > (after[uuid] ?? '')) after[uuid] = reached;
    store.set(KEY.early, after);
    return reached >= upTo;
  }
}
