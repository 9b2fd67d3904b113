import { type ClientSession, type Db, MongoClient } from 'mongodb';
import { GodwitError } from '../../../kernel/errors.ts';
import type {
  AuditRow,
  Backlog,
  CompareOptions,
  Control,
  ControlChange,
  Entered,
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
import { fromDriver } from '../errors.ts';
import { MongoRemodelAdmin } from './admin.ts';
import { adoptAll } from './adopt.ts';
import { readBacklog } from './backlog.ts';
import { asControl, changeControl, deleteLease, findControl, readAudit, readLeases, writeLease } from './control.ts';
import { createRemodel, dropRemodel, planOf } from './create.ts';
import { enterIdentity } from './entered.ts';
import { Guard } from './guard.ts';
import { measureImpact } from './measure.ts';
import { hasOlder } from './older-transactions.ts';
import { pendingStateOf } from './pending.ts';
import { identitiesToRing, type Room, relayPass } from './relay.ts';
import { releaseSome } from './release.ts';
import { settleSome } from './settle.ts';
import { addShadow, readShadow } from './shadow.ts';
import { readShape } from './shape.ts';
import { dbOf } from './transactions.ts';
import { readHits, retireOld, setTrap, unsetTrap } from './trap.ts';
import { verifyAll } from './verify.ts';

/** A guard whose heartbeat takes longer is not alive. */
const GUARD_WITHIN_MS = 5_000;

export interface MongoRemodelOptions {
  /** The database that holds old, new and control collections. */
  readonly database: string;
  /** The client is ours to close. */
  readonly ownsClient?: boolean;
}

/**
 * A remodel in MongoDB (replica set, 5.0 or newer). The application passes the
 * session of a transaction of its own; it may be of another client.
 */
export class MongoRemodelStore implements RemodelStore<ClientSession> {
  readonly kind = 'mongodb';
  readonly #room: Room;
  readonly #ownsClient: boolean;
  /** A change stream stays open between two calls. */
  readonly #guards = new Map<string, Guard>();

  constructor(client: MongoClient, options: MongoRemodelOptions) {
    this.#room = { client, db: client.db(options.database) };
    this.#ownsClient = options.ownsClient ?? false;
  }

  /** Connects; the database is the one that the connection string names. @throws GodwitError GW1001, GW2002, GW2003 */
  static async connect(uri: string): Promise<MongoRemodelStore> {
    let client: MongoClient | undefined;
    try {
      client = new MongoClient(uri, { appName: 'godwit' });
      const { dbName } = client.options;
      if (!hasDatabase(uri)) throw new GodwitError('GW1001', 'The connection string names no database');
      const hello = await client.db('admin').command({ hello: 1 });
      if (hello['setName'] === undefined && hello['msg'] !== 'isdbgrid')
        throw new GodwitError('GW2002', 'The server is no replica set: remodel needs transactions');
      return new MongoRemodelStore(client, { database: dbName, ownsClient: true });
    } catch (error) {
      await client?.close().catch(() => undefined);
      throw fromDriver(error, 'connecting to the store');
    }
  }

  plan(model: Model): Promise<readonly string[]> {
    return Promise.resolve(planOf(model));
  }

  create(model: Model, definition: string): Promise<void> {
    return createRemodel(this.#room, model, definition);
  }

  drop(model: Model): Promise<void> {
    return dropRemodel(this.#room, model);
  }

  async control(model: Model, tx?: ClientSession): Promise<Control | undefined> {
    const found = await findControl(this.#db, model, tx);
    return found === undefined ? undefined : asControl(found);
  }

  change(
    model: Model,
    epoch: number,
    change: ControlChange,
    event: string,
    data: Record<string, unknown>,
  ): Promise<Control> {
    return changeControl(this.#room, model, epoch, change, event, data);
  }

  audit(model: Model, limit: number): Promise<readonly AuditRow[]> {
    return readAudit(this.#db, model, limit);
  }

  lease(model: Model, lease: Omit<Lease, 'ageMs'>): Promise<void> {
    return writeLease(this.#db, model, lease);
  }

  leases(model: Model): Promise<readonly Lease[]> {
    return readLeases(this.#db, model);
  }

  endLease(model: Model, process: string): Promise<void> {
    return deleteLease(this.#db, model, process);
  }

  hasOlderTransactions(model: Model): Promise<boolean> {
    return hasOlder(this.#room, model);
  }

  backlog(model: Model): Promise<Backlog> {
    return readBacklog(this.#db, model);
  }

  shape(model: Model): Promise<readonly string[]> {
    return readShape(this.#db, model);
  }

  guardWorks(model: Model): Promise<boolean> {
    return this.#guard(model).catchUp(GUARD_WITHIN_MS);
  }

  measure(model: Model, samples: number): Promise<Impact> {
    return measureImpact(this.#room, model, samples);
  }

  async enter(model: Model, tx: ClientSession, identity: Identity): Promise<Entered> {
    return enterIdentity(dbOf(tx, this.#db.databaseName), model, tx, identity);
  }

  pendingState(model: Model, tx: ClientSession | undefined, identity: Identity): Promise<State | undefined> {
    return pendingStateOf(this.#room.client, this.#db.databaseName, model, tx, identity);
  }

  recordShadow(model: Model, found: ShadowCount): Promise<void> {
    return addShadow(this.#db, model, found);
  }

  shadowCount(model: Model): Promise<ShadowCount> {
    return readShadow(this.#db, model);
  }

  relay(model: Model, limit: number, only?: readonly Identity[]): Promise<RelayPass> {
    return relayPass(this.#room, model, limit, only);
  }

  toRing(model: Model, limit: number, sinceMs: number): Promise<readonly Identity[]> {
    return identitiesToRing(this.#room, model, limit, sinceMs);
  }

  settleDirty(model: Model, limit: number): Promise<number> {
    return settleSome(this.#room, model, this.#guard(model), limit);
  }

  adopt(model: Model, identities: readonly Identity[]): Promise<{ adopted: number; quarantined: number }> {
    return adoptAll(this.#room, model, identities);
  }

  release(model: Model, limit: number): Promise<number> {
    return releaseSome(this.#room, model, limit);
  }

  verify(model: Model, options: CompareOptions): Promise<VerifyResult> {
    return verifyAll(this.#room, model, options);
  }

  trap(model: Model, mode: 'record' | 'refuse'): Promise<void> {
    return setTrap(this.#room, model, mode);
  }

  untrap(model: Model): Promise<void> {
    return unsetTrap(this.#room, model);
  }

  trapHits(model: Model): Promise<readonly { readonly at: string; readonly who: string; readonly query: string }[]> {
    return readHits(this.#room, model);
  }

  retire(model: Model): Promise<void> {
    return retireOld(this.#room, model);
  }

  /** What the commands ask beside the protocol; on the same client. */
  get admin(): MongoRemodelAdmin {
    return new MongoRemodelAdmin(this.#room);
  }

  async close(): Promise<void> {
    await Promise.all([...this.#guards.values()].map((guard) => guard.close()));
    this.#guards.clear();
    if (this.#ownsClient) await this.#room.client.close();
  }

  #guard(model: Model): Guard {
    const guard = this.#guards.get(model.name) ?? new Guard(this.#room, model);
    this.#guards.set(model.name, guard);
    return guard;
  }

  get #db(): Db {
    return this.#room.db;
  }
}

/** Whether a connection string names a database: the driver would take `test`. */
function hasDatabase(uri: string): boolean {
  return /^mongodb(\+srv)?:\/\/[^/]+\/[^/?]+/.test(uri);
}
