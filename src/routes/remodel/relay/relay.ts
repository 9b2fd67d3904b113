import {
  type Control,
  type Doorbell,
  type Identity,
  type Model,
  type RelayPass,
  type RemodelStore,
  writesOld,
} from '../../../kernel/remodel/index.ts';
import type { OnEvent } from '../process/index.ts';
import { Task, type TaskStatus } from './task.ts';

/** Identities in one pass: enough to be worth a round trip, few enough to end soon. */
const PASS = 200;
const DIRTY_PASS = 100;
/** Pauses of a relay that finds nothing: the lag it adds, against the load of looking. */
const LEAST_MS = 5;
const MOST_MS = 100;
/** What was rung for so long ago without being applied is rung for again. */
const RING_AGAIN_MS = 2_000;
/** With a queue, how often the store is looked through without it. */
const SWEEP_MS = 2_000;
const SETTLE_MS = 500;

export interface RelayOptions<Tx> {
  readonly store: RemodelStore<Tx>;
  readonly model: Model;
  /** Without one, this process looks for what waits. */
  readonly queue?: Doorbell | undefined;
  /** The present control record. */
  readonly control: () => Control | undefined;
  readonly onEvent: OnEvent;
}

export interface RelayStatus {
  readonly remodel: string;
  readonly by: 'polling' | Doorbell['kind'];
  /** Whether old rows are written in the present phase. */
  readonly isPaused: boolean;
  /** Identities carried to the old table by this process. */
  readonly applied: number;
  /** Identities that a queue told this process of. */
  readonly heard: number;
  readonly quarantined: number;
  /** Writes past the library that were dealt with. */
  readonly settled: number;
  /** Age of the oldest change of the last pass that had any, milliseconds. */
  readonly lagMs: number;
  readonly tasks: readonly TaskStatus[];
}

/**
 * Carries old rows after the new ones, for one remodel. Any number of
 * processes may do so at a time: the store gives each identity to one of them.
 */
export class Relay<Tx> {
  readonly #options: RelayOptions<Tx>;
  readonly #tasks: readonly Task[];
  #applied = 0;
  #heard = 0;
  #quarantined = 0;
  #settled = 0;
  #lagMs = 0;

  constructor(options: RelayOptions<Tx>) {
    this.#options = options;
    const { queue } = options;
    const settle = this.#task('settle', SETTLE_MS, SETTLE_MS, () => this.#settle());
    const carry = queue === undefined ? [this.#poller()] : this.#withQueue(queue);
    this.#tasks = [...carry, settle];
  }

  start(): void {
    for (const task of this.#tasks) task.start();
  }

  /** This process has written: there will be something to carry soon. */
  wake(): void {
    this.#tasks[0]?.wake();
  }

  status(): RelayStatus {
    return {
      remodel: this.#options.model.name,
      by: this.#options.queue?.kind ?? 'polling',
      isPaused: !this.#writesOld(),
      applied: this.#applied,
      heard: this.#heard,
      quarantined: this.#quarantined,
      settled: this.#settled,
      lagMs: this.#lagMs,
      tasks: this.#tasks.map((task) => task.status()),
    };
  }

  /** Ends after the passes under way. */
  async close(): Promise<void> {
    await Promise.all(this.#tasks.map((task) => task.close()));
  }

  #poller(): Task {
    return this.#task('relay', LEAST_MS, MOST_MS, () => this.#look());
  }

  #withQueue(queue: Doorbell): Task[] {
    return [
      this.#task('ring', LEAST_MS, MOST_MS, (signal) => this.#ring(queue, signal)),
      this.#task('listen', LEAST_MS, MOST_MS, async (signal) => {
        await queue.listen(this.#options.model.name, (identities) => this.#hear(identities), signal);
        return false;
      }),
      // Whatever becomes of the queue, nothing waits for ever.
      this.#task('sweep', SWEEP_MS, SWEEP_MS, () => this.#look()),
    ];
  }

  /** More at once only after progress: what waits for a long transaction is looked at again after a pause. */
  async #look(): Promise<boolean> {
    const { more, applied, quarantined } = await this.#pass();
    return more && applied + quarantined > 0;
  }

  async #ring(queue: Doorbell, signal: AbortSignal): Promise<boolean> {
    if (!this.#writesOld()) return false;
    const { store, model } = this.#options;
    const identities = await store.toRing(model, PASS, RING_AGAIN_MS);
    if (identities.length === 0) return false;
    try {
      await queue.ring(model.name, identities, signal);
    } catch (error) {
      // They count as rung, and nobody heard it: this process carries them itself.
      await this.#pass(identities);
      throw error;
    }
    return identities.length === PASS;
  }

  async #hear(identities: readonly Identity[]): Promise<void> {
    this.#heard += identities.length;
    if (identities.length > 0) await this.#pass(identities);
  }

  async #pass(only?: readonly Identity[]): Promise<RelayPass> {
    if (!this.#writesOld()) return { applied: 0, quarantined: 0, more: false, oldestMs: 0 };
    const { store, model, onEvent } = this.#options;
    const pass = await store.relay(model, only?.length ?? PASS, only);
    this.#applied += pass.applied;
    this.#quarantined += pass.quarantined;
    if (pass.applied > 0) this.#lagMs = pass.oldestMs;
    if (pass.quarantined > 0) onEvent({ kind: 'quarantined', remodel: model.name, identities: pass.quarantined });
    return pass;
  }

  async #settle(): Promise<boolean> {
    const phase = this.#options.control()?.phase;
    if (phase === undefined || phase === 'draft' || phase === 'trapped' || phase === 'retired') return false;
    const settled = await this.#options.store.settleDirty(this.#options.model, DIRTY_PASS);
    this.#settled += settled;
    return settled === DIRTY_PASS;
  }

  #writesOld(): boolean {
    const control = this.#options.control();
    return control !== undefined && writesOld(control.phase);
  }

  #task(task: string, leastMs: number, mostMs: number, round: (signal: AbortSignal) => Promise<boolean>): Task {
    return new Task({
      remodel: this.#options.model.name,
      task,
      leastMs,
      mostMs,
      round,
      onEvent: this.#options.onEvent,
    });
  }
}
