import type { ClientSession, Db } from 'mongodb';
import { GodwitError } from '../../../kernel/errors.ts';
import {
  BUCKETS,
  bucketOf,
  type Control,
  type Entered,
  type Identity,
  type Model,
  type Owner,
  type Row,
  type State,
  type Value,
  writesOld,
} from '../../../kernel/remodel/index.ts';
import { documentsOf, type ModelDocuments } from './documents.ts';
import { type IdentityView, oldCollection, oldDocument, stateOf, viewIdentity } from './identity-view.ts';
import { NewRows } from './new-rows.ts';
import { writeOldDocument } from './old-row.ts';
import { type Lock, lockIdentity } from './outbox.ts';
import { inTheirs } from './transactions.ts';
import { downOf } from './transforms.ts';

/** Locks an identity in a transaction of the application, and decides who owns it. */
export function enterIdentity(db: Db, model: Model, session: ClientSession, identity: Identity): Promise<Entered> {
  if (!session.inTransaction()) {
    throw new GodwitError(
      'GW5008',
      `Remodel ${model.name}: the session has no transaction; call withTransaction first`,
    );
  }
  return inTheirs(`locking an identity of ${model.name}`, async () => {
    const documents = documentsOf(model);
    const view = await viewIdentity(db, documents, identity, session);
    const entered = new EnteredIdentity(db, session, documents, identity, view);
    await entered.lock();
    return entered;
  });
}

/** Whom an identity belongs to that neither root nor tombstone has. */
function ownerOf(model: Model, identity: Identity, { owner, control }: IdentityView): Owner {
  if (owner !== 'none') return owner;
  if (control.phase === 'draft' || control.phase === 'created') return 'old';
  if (!writesOld(control.phase)) return 'adopt';
  return bucketOf(model.name, identity) < Math.min(control.ramp, BUCKETS) ? 'adopt' : 'old';
}

/** After `retire` there is no old table to carry anything to. */
function isQueued(control: Control): boolean {
  return control.phase !== 'retired';
}

class EnteredIdentity implements Entered {
  readonly owner: Owner;
  readonly #db: Db;
  readonly #session: ClientSession;
  readonly #documents: ModelDocuments;
  readonly #identity: Identity;
  readonly #view: IdentityView;
  readonly #rows: NewRows;
  #isQueued: boolean;
  #isBuried = false;
  #old: { readonly raw: Buffer | undefined } | undefined;

  constructor(db: Db, session: ClientSession, documents: ModelDocuments, identity: Identity, view: IdentityView) {
    this.#db = db;
    this.#session = session;
    this.#documents = documents;
    this.#identity = identity;
    this.#view = view;
    this.#rows = new NewRows(db, session, documents, identity, view.documents);
    this.#isQueued = view.waiting !== undefined && view.owner !== 'none';
    this.owner = ownerOf(documents.model, identity, view);
  }

  /** Called once, before anything else. */
  async lock(): Promise<void> {
    if (this.owner === 'old') await this.#lock({ kind: 'clear' });
    else await this.#queue();
  }

  readOld(): Promise<Row | undefined> {
    return this.#do('reading an old row', async () => {
      const raw = await this.#oldDocument();
      return raw === undefined ? undefined : this.#documents.old.decode(raw);
    });
  }

  readNew(): Promise<State | undefined> {
    return this.#do('reading new rows', () => this.#rows.state());
  }

  adopt(state: State): Promise<void> {
    return this.#do('adopting an identity', async () => {
      if (!this.#isQueued) await this.#queue();
      if (this.owner === 'deleted' || this.#isBuried) await this.#rows.exhume();
      this.#isBuried = false;
      await this.#rows.insert(state);
    });
  }

  putNew(table: string, rows: readonly Row[]): Promise<void> {
    return this.#do('writing new rows', () => this.#rows.put(table, rows));
  }

  patchNew(table: string, id: Value | undefined, patch: Row): Promise<boolean> {
    return this.#do('changing a new row', () => this.#rows.patch(table, id, patch));
  }

  removeNew(table: string, id: Value): Promise<boolean> {
    return this.#do('deleting a new row', () => this.#rows.remove(table, id));
  }

  deleteNew(): Promise<void> {
    return this.#do('deleting new rows', async () => {
      await this.#rows.clear();
      await this.#rows.bury();
      this.#isBuried = true;
    });
  }

  countNew(table: string): Promise<number> {
    return this.#do('counting new rows', () => this.#rows.count(table));
  }

  putOld(row: Row | undefined): Promise<void> {
    if (this.owner !== 'old') throw new GodwitError('GW9001', 'the old row of an identity that the new model owns');
    return this.#do('writing an old row', async () => {
      await this.#lock({ kind: 'write old' });
      const collection = oldCollection(this.#db, this.#documents, this.#view.control);
      const raw = await this.#oldDocument();
      this.#old = undefined;
      await writeOldDocument(collection, this.#documents.old, this.#session, { identity: this.#identity, raw, row });
    });
  }

  allowOld(): Promise<void> {
    this.#old = undefined;
    return this.#do('allowing writes of an old row', () => this.#lock({ kind: 'write old' }));
  }

  #do<T>(what: string, work: () => Promise<T>): Promise<T> {
    return inTheirs(`${what} (remodel ${this.#documents.model.name})`, work);
  }

  /** Remembers that the old row has to follow, and what it is until then. */
  async #queue(): Promise<void> {
    if (this.#isQueued || !isQueued(this.#view.control)) {
      await this.#lock({ kind: this.#isQueued ? 'touch' : 'clear' });
      return;
    }
    await this.#lock({ kind: 'queue', base: await this.#base() });
    this.#isQueued = true;
  }

  async #base(): Promise<Row | undefined | 'unknown'> {
    try {
      if (this.#view.owner === 'deleted') return undefined;
      if (this.#view.owner === 'new') return downOf(this.#documents.model, stateOf(this.#documents, this.#view));
      const raw = await this.#oldDocument();
      return raw === undefined ? undefined : this.#documents.old.decode(raw);
    } catch (error) {
      // What the transforms or columns refuse is found again by the relay, which says so.
      if (error instanceof GodwitError) return 'unknown';
      throw error;
    }
  }

  async #oldDocument(): Promise<Buffer | undefined> {
    const { control } = this.#view;
    this.#old ??= { raw: await oldDocument(this.#db, this.#documents, control, this.#identity, this.#session) };
    return this.#old.raw;
  }

  #lock(lock: Lock): Promise<void> {
    return lockIdentity(this.#db, this.#documents.model, this.#identity, this.#session, lock);
  }
}
