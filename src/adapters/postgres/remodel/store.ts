import type pg from 'pg';
import type {
  AuditRow,
  Backlog,
  CompareOptions,
  Control,
  ControlChange,
  Entered,
  FirstWrite,
  Identity,
  Impact,
  Lease,
  Model,
  RelayPass,
  RemodelStore,
  ShadowCount,
  State,
  VerifyResult,
} from '../../../kernel/remodel/index.ts';
import { readBacklog } from './backlog.ts';
import { adoptMany } from './bulk.ts';
import {
  addShadow,
  changeControl,
  deleteLease,
  hasOlderTransactions,
  readAudit,
  readControl,
  readLeases,
  readShadow,
  writeLease,
} from './control.ts';
import { create, drop, planCreate } from './create.ts';
import { enter } from './entered.ts';
import { type Executor, executorOf, type PgTransaction } from './executor.ts';
import { guardWorks } from './guard.ts';
import { measureImpact } from './measure.ts';
import { pendingState } from './pending.ts';
import { QueueStart } from './queue-start.ts';
import { relay, toRing } from './relay.ts';
import { release } from './release.ts';
import { inTransaction, makePool, onConnection } from './session.ts';
import { settleDirty } from './settle.ts';
import { shapeOf } from './shape.ts';
import { loadTables, type SqlModel } from './tables.ts';
import { retire, trap, untrap } from './trap.ts';
import { type TrapHit, trapHits } from './trap-hits.ts';
import { loadLasting, withPresentOld } from './trap-names.ts';
import { verify } from './verify.ts';

export interface PostgresStoreOptions {
  /** A pool of the caller, which stays the caller's to close; or an address, for a pool of our own. */
  readonly pool: pg.Pool | string;
  /** Connections of a pool of our own. */
  readonly connections?: number;
  /**
   * Whether to keep the plan of the one statement that every write needs with the connection. Default: yes. Off for a
   * pooler in transaction mode that does not carry prepared statements over.
   */
  readonly prepare?: boolean;
}

/** PostgreSQL as the store of a remodel. Tables' real types are read once and kept. */
export class PostgresRemodelStore implements RemodelStore<PgTransaction> {
  readonly kind = 'postgres';
  readonly #pool: pg.Pool;
  readonly #ownsPool: boolean;
  readonly #prepare: boolean;
  readonly #tables = new Map<string, Promise<SqlModel>>();
  readonly #starts = new Map<string, QueueStart>();

  constructor({ pool, connections, prepare = true }: PostgresStoreOptions) {
    this.#prepare = prepare;
    this.#ownsPool = typeof pool === 'string';
    this.#pool = typeof pool === 'string' ? makePool(pool, connections) : pool;
  }

  /** For what works on the same tables beside the protocol. */
  get pool(): pg.Pool {
    return this.#pool;
  }

  plan(model: Model): Promise<readonly string[]> {
    return planCreate(this.#pool, model);
  }

  async create(model: Model, definition: string): Promise<void> {
    this.#tables.delete(model.name);
    await create(this.#pool, model, definition);
  }

  async drop(model: Model): Promise<void> {
    await drop(this.#pool, model);
    this.#tables.delete(model.name);
  }

  async control(model: Model, tx?: PgTransaction): Promise<Control | undefined> {
    if (tx) return readControl(executorOf(tx, this.#prepare), model);
    return this.#read('Reading the control record', (exec) => readControl(exec, model));
  }

  change(
    model: Model,
    epoch: number,
    change: ControlChange,
    event: string,
    data: Record<string, unknown>,
  ): Promise<Control> {
    return inTransaction(this.#pool, 'Changing the control record', (exec) =>
      changeControl(exec, model, epoch, change, event, data),
    );
  }

  audit(model: Model, limit: number): Promise<readonly AuditRow[]> {
    return this.#read('Reading the history', (exec) => readAudit(exec, model, limit));
  }

  lease(model: Model, lease: Omit<Lease, 'ageMs'>): Promise<void> {
    return this.#read('Renewing a lease', (exec) => writeLease(exec, model, lease));
  }

  leases(model: Model): Promise<readonly Lease[]> {
    return this.#read('Reading the leases', (exec) => readLeases(exec, model));
  }

  endLease(model: Model, process: string): Promise<void> {
    return this.#read('Ending a lease', (exec) => deleteLease(exec, model, process));
  }

  hasOlderTransactions(model: Model): Promise<boolean> {
    return this.#read('Looking for older transactions', (exec) => hasOlderTransactions(exec, model));
  }

  async backlog(model: Model): Promise<Backlog> {
    const sql = await this.#sql(model);
    return this.#read('Counting the backlog', (exec) => readBacklog(exec, sql));
  }

  shape(model: Model): Promise<readonly string[]> {
    return shapeOf(this.#pool, model);
  }

  async guardWorks(model: Model): Promise<boolean> {
    // The real table, also behind the trap.
    return inTransaction(this.#pool, 'Trying the guard', async (exec) =>
      guardWorks(exec, await loadTables(exec, await withPresentOld(exec, model))),
    );
  }

  measure(model: Model, samples: number): Promise<Impact> {
    return measureImpact(this.#pool, model, samples);
  }

  async enter(model: Model, tx: PgTransaction, identity: Identity, first?: FirstWrite): Promise<Entered> {
    return enter(executorOf(tx, this.#prepare), await this.#sql(model), identity, first);
  }

  async pendingState(model: Model, tx: PgTransaction | undefined, identity: Identity): Promise<State | undefined> {
    const sql = await this.#sql(model);
    if (tx) return pendingState(executorOf(tx, this.#prepare), sql, identity);
    return this.#read('Reading a pending state', (exec) => pendingState(exec, sql, identity));
  }

  recordShadow(model: Model, found: ShadowCount): Promise<void> {
    return this.#read('Recording shadow reads', (exec) => addShadow(exec, model, found));
  }

  shadowCount(model: Model): Promise<ShadowCount> {
    return this.#read('Reading shadow counts', (exec) => readShadow(exec, model));
  }

  async relay(model: Model, limit: number, only?: readonly Identity[]): Promise<RelayPass> {
    let start = this.#starts.get(model.name);
    if (start === undefined) {
      start = new QueueStart();
      this.#starts.set(model.name, start);
    }
    return relay(this.#pool, await this.#sql(model), limit, { only, start, prepare: this.#prepare });
  }

  async toRing(model: Model, limit: number, sinceMs: number): Promise<readonly Identity[]> {
    return toRing(this.#pool, await this.#sql(model), limit, sinceMs);
  }

  async settleDirty(model: Model, limit: number): Promise<number> {
    return settleDirty(this.#pool, await this.#sql(model), limit);
  }

  async adopt(model: Model, identities: readonly Identity[]): Promise<{ adopted: number; quarantined: number }> {
    return adoptMany({ pool: this.#pool, prepare: this.#prepare }, await this.#sql(model), identities);
  }

  async release(model: Model, limit: number): Promise<number> {
    return release(this.#pool, await this.#sql(model), limit);
  }

  verify(model: Model, options: CompareOptions): Promise<VerifyResult> {
    return verify(this.#pool, model, options);
  }

  trap(model: Model, mode: 'record' | 'refuse'): Promise<void> {
    return trap(this.#pool, model, mode);
  }

  untrap(model: Model): Promise<void> {
    return untrap(this.#pool, model);
  }

  trapHits(model: Model): Promise<readonly TrapHit[]> {
    return trapHits(this.#pool, model);
  }

  retire(model: Model): Promise<void> {
    return retire(this.#pool, model);
  }

  async close(): Promise<void> {
    if (this.#ownsPool) await this.#pool.end();
  }

  #read<T>(doing: string, work: (exec: Executor) => Promise<T>): Promise<T> {
    return onConnection(this.#pool, doing, work);
  }

  /** A failure is not kept: the tables may be there the next time. */
  #sql(model: Model): Promise<SqlModel> {
    const known = this.#tables.get(model.name);
    if (known) return known;
    const loading = this.#read('Reading the tables', (exec) => loadLasting(exec, model));
    this.#tables.set(model.name, loading);
    loading.catch(() => this.#tables.delete(model.name));
    return loading;
  }
}
