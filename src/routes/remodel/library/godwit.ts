import { randomBytes } from 'node:crypto';
import { hostname } from 'node:os';
import { systemClock } from '../../../kernel/clock.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import {
  BUCKETS,
  type Columns,
  type Doorbell,
  identityOf,
  type KeyValue,
  type Model,
  type NewTables,
  type RemodelStore,
} from '../../../kernel/remodel/index.ts';
import {
  type ControlView,
  ControlWatch,
  describeError,
  type GodwitEvent,
  type OnEvent,
  safely,
} from '../process/index.ts';
import { Relay, type RelayStatus } from '../relay/index.ts';
import { TAKEN_NAMES } from './draft.ts';
import { gaugesOf } from './gauges.ts';
import { type Latency, Metrics } from './metrics.ts';
import { readIdentity } from './read.ts';
import { misuse } from './rows.ts';
import { Shadow } from './shadow.ts';
import type { QueueSource, StoreSource } from './sources.ts';
import type { AnySides, AnyWork, Migration, ReadOptions, ReadSides, TwoWays, Work } from './types.ts';
import { carryOut } from './write.ts';

export interface GodwitOptions<Tx> {
  readonly store: StoreSource<Tx>;
  /** All remodels that this process reads or writes through. */
  readonly migrations: readonly Model[];
  /** Rings for what has to be carried to the old table; default: each process looks for it. */
  readonly queue?: QueueSource | undefined;
  /** Whether this process also carries old rows; default true. Some process must: this, or `godwit remodel relay`. */
  readonly relay?: boolean;
  readonly onEvent?: (event: GodwitEvent) => void;
}

export interface RemodelStatus extends ControlView {
  /** Undefined where this process carries nothing. */
  readonly relay: RelayStatus | undefined;
  /** Time of writes by the model that owned the identity. */
  readonly writes: Readonly<Record<'new' | 'old' | 'adopt' | 'deleted', Latency>>;
}

export interface GodwitStatus {
  readonly process: string;
  readonly remodels: readonly RemodelStatus[];
}

interface Member<Tx> {
  readonly model: Model;
  readonly watch: ControlWatch<Tx>;
  readonly relay: Relay<Tx> | undefined;
}

const FLUSH_EVERY_MS = 1000;
const NOBODY = '00000000-0000-0000-0000-000000000000';

/** One per process of the application, beside its connection pool. Made by {@link createGodwit}. */
export class Godwit<Tx> {
  readonly #store: RemodelStore<Tx>;
  readonly #queue: Doorbell | undefined;
  readonly #process: string;
  readonly #members: ReadonlyMap<string, Member<Tx>>;
  readonly #onEvent: OnEvent;
  readonly #metrics = new Metrics();
  readonly #shadow: Shadow<Tx>;
  readonly #stop = new AbortController();
  #flushing: Promise<void> | undefined;
  #closing: Promise<void> | undefined;

  constructor(store: RemodelStore<Tx>, queue: Doorbell | undefined, options: GodwitOptions<Tx>) {
    this.#store = store;
    this.#queue = queue;
    this.#onEvent = safely(options.onEvent);
    this.#process = `${hostname()}-${process.pid}-${randomBytes(3).toString('hex')}`;
    this.#shadow = new Shadow({ store, metrics: this.#metrics, onEvent: this.#onEvent });
    const isRelay = options.relay ?? true;
    this.#members = new Map(options.migrations.map((model) => [model.name, this.#member(model, isRelay)]));
  }

  /**
   * Changes one identity inside the application's transaction, on whichever
   * model owns it. The first operation of `m` locks the identity until that
   * transaction ends: what the write depends on is read through `m`, not before it.
   * After an error the transaction must be rolled back: part of the write may
   * have been done. Outside of a transaction (a `tx` that commits each statement)
   * nothing is guaranteed; that cannot be noticed here.
   *
   * @returns what `work` returned.
   * @throws GodwitError GW5005 (the old model has no room and the policy is `block`), GW5008 (the write does not fit),
   *   GW7008 (another definition), GW1004 (no such remodel), and what the store throws.
   */
  async write<From extends Columns, N extends NewTables, Key extends keyof From & string, R>(
    migration: Migration<From, N, Key>,
    key: KeyValue,
    tx: Tx,
    work: Work<N, Key, R> | TwoWays<N, Key, R>,
  ): Promise<R> {
    const startedAt = performance.now();
    const { model, watch, relay } = this.#find(migration);
    const labels = { remodel: model.name };
    try {
      watch.assertUsable();
      const identity = identityOf(model, key);
      const [fresh, legacy] = typeof work === 'function' ? [work, undefined] : [work.new, work.old];
      const { control } = watch;
      const request = { store: this.#store, model, identity, tx, work: fresh as unknown as AnyWork, legacy, control };
      const { answer, owner, hasAdopted } = await carryOut(request);
      if (owner !== 'old' || hasAdopted) relay?.wake();
      if (hasAdopted) this.#metrics.count('godwit_adopted_total', labels);
      this.#metrics.time('godwit_write_seconds', { ...labels, owner }, performance.now() - startedAt);
      return answer as R;
    } catch (error) {
      const code = error instanceof GodwitError ? error.code : 'other';
      this.#metrics.count('godwit_write_errors_total', { ...labels, code });
      throw error;
    }
  }

  /**
   * Reads one identity from the model that reads go to. Never goes back in
   * time: an answer from the old model has every write that was committed
   * before, by any process. `old` or `new` are called again when what they
   * answered, or threw, is of a model that reads do not go to any more.
   *
   * @throws GodwitError GW3003 when an `old` without a parameter waits too long, GW5008 when it has none inside a
   *   transaction; and what `old` and `new` throw.
   */
  async read<From extends Columns, N extends NewTables, Key extends keyof From & string, R>(
    migration: Migration<From, N, Key>,
    key: KeyValue,
    sides: ReadSides<From, R>,
    options: ReadOptions<Tx, R> = {},
  ): Promise<R> {
    const { model, watch } = this.#find(migration);
    const identity = identityOf(model, key);
    const any = sides as unknown as AnySides;
    if (options.tx !== undefined && any.old.length === 0)
      throw misuse(model, 'inside a transaction `old` needs its parameter, the row to answer from: (row) => …');
    const request = { store: this.#store, model, identity, tx: options.tx, sides: any };
    const { answer, side, wasPending, control } = await readIdentity(request, watch);
    this.#metrics.count('godwit_reads_total', { remodel: model.name, side: wasPending ? 'pending' : side });
    if (options.tx === undefined && this.#isSampled(control?.phase, control?.shadow))
      this.#shadow.offer({ model, identity, sides: any, options: options as object, side, answer });
    return answer as R;
  }

  status(): GodwitStatus {
    const remodels = [...this.#members.values()].map(({ model, watch, relay }) => {
      const latency = (owner: string) => this.#metrics.latency('godwit_write_seconds', { remodel: model.name, owner });
      const writes = { new: latency('new'), old: latency('old'), adopt: latency('adopt'), deleted: latency('deleted') };
      return { ...watch.view(), relay: relay?.status(), writes };
    });
    return { process: this.#process, remodels };
  }

  /** Counts and times since this process started, as Prometheus reads them. */
  metrics(): string {
    return this.#metrics.text(this.status().remodels.flatMap(gaugesOf));
  }

  /** Ends the loops after what they are at. The pool or client that the store was given stays open. */
  close(): Promise<void> {
    this.#closing ??= this.#close();
    return this.#closing;
  }

  /** Called once, by {@link createGodwit}. */
  async start(): Promise<void> {
    const members = [...this.#members.values()];
    await Promise.all(
      members.map(async ({ watch, model }) => {
        await watch.start(this.#stop.signal);
        if (watch.control?.phase !== 'retired') await this.#warmUp(model);
      }),
    );
    for (const { relay } of members) relay?.start();
    this.#flushing = this.#flush();
  }

  async #close(): Promise<void> {
    this.#shadow.close();
    this.#stop.abort();
    const members = [...this.#members.values()];
    await Promise.all(members.flatMap(({ watch, relay }) => [watch.ended(), relay?.close()]));
    await this.#flushing;
    await this.#queue?.close();
    await this.#store.close();
  }

  async #flush(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await systemClock.sleep(FLUSH_EVERY_MS, signal);
      try {
        await this.#shadow.flush();
      } catch (error) {
        const remodel = [...this.#members.keys()].join(', ');
        this.#onEvent({ kind: 'control-failed', remodel, ...describeError(error) });
      }
    }
  }

  /**
   * A store reads the shape of its tables when it first needs it. That must not be inside a write: the application
   * may hold the last connection of the pool by then.
   */
  async #warmUp(model: Model): Promise<void> {
    const type = model.from.columns[model.key]?.type;
    await this.#store.pendingState(model, undefined, type === 'uuid' ? NOBODY : '0');
  }

  #member(model: Model, isRelay: boolean): Member<Tx> {
    for (const as of Object.keys(model.to)) {
      if (TAKEN_NAMES.includes(as))
        throw new GodwitError('GW1006', `Remodel ${model.name}: no new table can be called ${as}, which is a method`);
    }
    const who = { process: this.#process, host: hostname(), role: 'application' as const, onEvent: this.#onEvent };
    const watch = new ControlWatch(this.#store, model, who);
    const carries = { store: this.#store, model, queue: this.#queue, control: () => watch.control };
    return { model, watch, relay: isRelay ? new Relay({ ...carries, onEvent: this.#onEvent }) : undefined };
  }

  #find(model: Model): Member<Tx> {
    const member = this.#members.get(model.name);
    if (member === undefined) throw misuse(model, 'it is not among the `migrations` of createGodwit');
    return member;
  }

  /** Only while both models hold everything. */
  #isSampled(phase: string | undefined, shadow = 0): boolean {
    return shadow > 0 && (phase === 'verified' || phase === 'reads') && Math.random() * BUCKETS < shadow;
  }
}

/**
 * Opens the store, reads the control record of every remodel, takes a lease
 * and starts the loops of this process.
 * @throws GodwitError GW1004 when a remodel was not created yet, GW7008 when it was by another definition.
 */
export async function createGodwit<Tx>(options: GodwitOptions<Tx>): Promise<Godwit<Tx>> {
  const store = await options.store.open();
  let godwit: Godwit<Tx> | undefined;
  try {
    godwit = new Godwit(store, await options.queue?.open(), options);
    await godwit.start();
    return godwit;
  } catch (error) {
    await (godwit ?? store).close();
    throw error;
  }
}
