import { type Clock, systemClock } from '../../../kernel/clock.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import {
  type Control,
  definitionHash,
  LEASE_ALIVE_MS,
  type Lease,
  type Model,
  type RemodelStore,
} from '../../../kernel/remodel/index.ts';
import { backoffMs } from '../../../kernel/retry.ts';
import { describeError, type OnEvent } from './events.ts';

/** The control record is read this often, so that the copy is at most a second old. */
const READ_EVERY_MS = 400;
const LEASE_EVERY_MS = 1000;
const END_WITHIN_MS = 1000;

export interface WatchOptions {
  /** Tells processes apart. */
  readonly process: string;
  readonly host: string;
  readonly role: Lease['role'];
  readonly onEvent: OnEvent;
  readonly clock?: Clock;
}

/** How this process sees a remodel. */
export interface ControlView {
  readonly remodel: string;
  readonly control: Control | undefined;
  /** Milliseconds since the copy was read. */
  readonly ageMs: number;
  readonly hasSameDefinition: boolean;
  /** Code of the last failure to read the record or to renew the lease, while it lasts. */
  readonly failing: string | undefined;
}

/**
 * This process's copy of a remodel's control record, read anew in the
 * background, and its lease. While the record cannot be read, the last copy
 * holds: reads stay where they are.
 */
export class ControlWatch<Tx> {
  readonly #store: RemodelStore<Tx>;
  readonly #model: Model;
  readonly #options: WatchOptions;
  readonly #clock: Clock;
  readonly #definition: string;
  #control: Control | undefined;
  #readAt = 0;
  #leasedAt = 0;
  #leasedEpoch: number | undefined;
  /** Until then commands wait for this process, counted from when the lease was asked for. */
  #awaitedUntil = 0;
  #failures = 0;
  #failing: string | undefined;
  #loop: Promise<void> | undefined;

  constructor(store: RemodelStore<Tx>, model: Model, options: WatchOptions) {
    this.#store = store;
    this.#model = model;
    this.#options = options;
    this.#clock = options.clock ?? systemClock;
    this.#definition = definitionHash(model);
  }

  /**
   * Reads the record, takes the lease and keeps both until the signal is set.
   * @throws GodwitError GW1004 when the remodel was not created, GW7008 when it was by another definition.
   */
  async start(signal: AbortSignal): Promise<void> {
    await this.#read();
    this.assertUsable();
    await this.#lease();
    this.#loop = this.#run(signal);
  }

  /** After the signal was set: waits for what is under way, and gives up the lease where it can. */
  async ended(): Promise<void> {
    if (this.#loop === undefined) return;
    await this.#loop;
    this.#loop = undefined;
    this.#awaitedUntil = 0;
    // A lease that cannot be given up runs out: nobody waits for a database that does not answer.
    const given = this.#store.endLease(this.#model, this.#options.process).catch(() => undefined);
    const enough = new AbortController();
    await Promise.race([given, this.#clock.sleep(END_WITHIN_MS, enough.signal)]);
    enough.abort();
  }

  get control(): Control | undefined {
    return this.#control;
  }

  /**
   * Whether commands wait for this process: as long as they do, nothing is taken
   * away from where its copy of the record reads. Not so after it stood still for
   * longer than a lease lives, or could not renew it.
   */
  get isAwaited(): boolean {
    return this.#clock.now() < this.#awaitedUntil;
  }

  /** @throws GodwitError GW1004 or GW7008, as {@link start}. */
  assertUsable(): void {
    const { name } = this.#model;
    if (this.#control === undefined)
      throw new GodwitError(
        'GW1004',
        `Remodel ${name} does not exist in this database: \`godwit remodel create\` first`,
      );
    if (this.#control.definition !== this.#definition)
      throw new GodwitError('GW7008', `Remodel ${name} was created with another definition than this process has`);
  }

  view(): ControlView {
    return {
      remodel: this.#model.name,
      control: this.#control,
      ageMs: this.#clock.now() - this.#readAt,
      hasSameDefinition: this.#control?.definition === this.#definition,
      failing: this.#failing,
    };
  }

  async #run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#clock.sleep(this.#failures === 0 ? READ_EVERY_MS : Math.min(1000, backoffMs(this.#failures)), signal);
      if (signal.aborted) return;
      try {
        await this.#read();
        // A new epoch is said at once: somebody may wait for it.
        const isDue = this.#clock.now() - this.#leasedAt >= LEASE_EVERY_MS - READ_EVERY_MS / 2;
        if (isDue || this.#control?.epoch !== this.#leasedEpoch) await this.#lease();
        this.#failures = 0;
        this.#failing = undefined;
      } catch (error) {
        this.#failed(error);
      }
    }
  }

  async #read(): Promise<void> {
    const before = this.#control;
    const askedAt = this.#clock.now();
    const control = await this.#store.control(this.#model);
    this.#control = control;
    const isFirst = this.#readAt === 0;
    this.#readAt = askedAt;
    if (isFirst || control?.epoch === before?.epoch) return;
    this.#options.onEvent({ kind: 'control-changed', remodel: this.#model.name, control });
    const differs = control !== undefined && control.definition !== this.#definition;
    if (differs && before?.definition !== control.definition)
      this.#options.onEvent({ kind: 'definition-differs', remodel: this.#model.name });
  }

  async #lease(): Promise<void> {
    if (this.#control === undefined) return;
    const { process, host, role } = this.#options;
    const askedAt = this.#clock.now();
    const lease = { process, host, role, epoch: this.#control.epoch, definition: this.#definition };
    await this.#store.lease(this.#model, lease);
    this.#leasedAt = this.#clock.now();
    this.#leasedEpoch = lease.epoch;
    // A gate may have opened while there was no lease: the record is newer than the copy then.
    if (!this.isAwaited) await this.#read();
    this.#awaitedUntil = askedAt + LEASE_ALIVE_MS;
  }

  #failed(error: unknown): void {
    const described = describeError(error);
    this.#failures += 1;
    if (this.#failures === 1)
      this.#options.onEvent({ kind: 'control-failed', remodel: this.#model.name, ...described });
    this.#failing = described.code;
  }
}
