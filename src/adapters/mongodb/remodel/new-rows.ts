import type { AnyBulkWriteOperation, ClientSession, Db, Document } from 'mongodb';
import {
  type Identity,
  keyOfIdentity,
  type Model,
  type Row,
  type State,
  type Value,
  valueText,
} from '../../../kernel/remodel/index.ts';
import { collectionOf, type ModelDocuments, RAW, rawDocuments } from './documents.ts';
import { stateOf } from './identity-view.ts';
import { CONTROL, idOf } from './names.ts';
import type { TableDocuments } from './table-documents.ts';

/**
 * The new rows of one identity in one transaction. Keeps the documents it has
 * read until it changes them, so that nothing is read twice.
 */
export class NewRows {
  readonly #db: Db;
  readonly #session: ClientSession;
  readonly #documents: ModelDocuments;
  readonly #identity: Identity;
  readonly #seen: Map<string, readonly Buffer[]>;

  constructor(
    db: Db,
    session: ClientSession,
    documents: ModelDocuments,
    identity: Identity,
    seen: Readonly<Record<string, readonly Buffer[]>>,
  ) {
    this.#db = db;
    this.#session = session;
    this.#documents = documents;
    this.#identity = identity;
    this.#seen = new Map(Object.entries(seen));
  }

  /** Undefined when the root has no document. */
  async state(): Promise<State | undefined> {
    const found: Record<string, readonly Buffer[]> = {};
    for (const as of Object.keys(this.#documents.new)) found[as] = await this.#read(as);
    if ((found[this.#model.root]?.length ?? 0) === 0) return undefined;
    return stateOf(this.#documents, { documents: found });
  }

  /** Puts rows where there are none. */
  async insert(state: State): Promise<void> {
    for (const [as, table] of Object.entries(this.#documents.new)) {
      const rows = (state[as] ?? []).map((row) => table.document(this.#keyed(row)));
      if (rows.length === 0) continue;
      this.#seen.delete(as);
      await collectionOf(this.#db, table).insertMany(rows, { session: this.#session });
    }
  }

  /** A row that is there is changed, with the fields that the model does not know left alone. */
  async put(as: string, rows: readonly Row[]): Promise<void> {
    const table = this.table(as);
    const there = new Map((await this.#read(as)).map((raw) => [this.#place(table, table.decode(raw)), raw]));
    const writes: AnyBulkWriteOperation<Document>[] = [];
    for (const row of rows.map((each) => this.#keyed(each))) {
      const raw = there.get(this.#place(table, row));
      if (raw === undefined) writes.push({ insertOne: { document: table.document(row) } });
      else {
        const changes = table.changes(raw, this.#whole(table, row));
        const filter = table.one(this.#identity, this.#idOf(table, row));
        if (changes !== undefined) writes.push({ updateOne: { filter, update: changes as Document } });
      }
    }
    if (writes.length === 0) return;
    this.#seen.delete(as);
    await collectionOf(this.#db, table).bulkWrite(writes, { session: this.#session });
  }

  /** Gives whether the row is there. */
  async patch(as: string, id: Value | undefined, patch: Row): Promise<boolean> {
    const table = this.table(as);
    const wanted = table.idPath === undefined ? '' : valueText(id ?? null);
    const raw = (await this.#read(as)).find((each) => this.#place(table, table.decode(each)) === wanted);
    if (raw === undefined) return false;
    const changes = table.changes(raw, patch);
    if (changes === undefined) return true;
    this.#seen.delete(as);
    const filter = table.one(this.#identity, id);
    await collectionOf(this.#db, table).updateOne(filter, changes as Document, { session: this.#session });
    return true;
  }

  async remove(as: string, id: Value): Promise<boolean> {
    const table = this.table(as);
    this.#seen.delete(as);
    const filter = table.one(this.#identity, id);
    return (await collectionOf(this.#db, table).deleteOne(filter, { session: this.#session })).deletedCount > 0;
  }

  /** Deletes all of them. */
  async clear(): Promise<void> {
    for (const [as, table] of Object.entries(this.#documents.new)) {
      if (this.#seen.get(as)?.length === 0) continue;
      this.#seen.delete(as);
      await collectionOf(this.#db, table).deleteMany(table.ofIdentity(this.#identity), { session: this.#session });
    }
  }

  async count(as: string): Promise<number> {
    return (await this.#read(as)).length;
  }

  async bury(): Promise<void> {
    await this.#db
      .collection<{ _id: string }>(CONTROL.tombstone)
      .updateOne({ _id: this.#id }, { $currentDate: { at: true } }, { session: this.#session, upsert: true });
  }

  async exhume(): Promise<void> {
    await this.#db
      .collection<{ _id: string }>(CONTROL.tombstone)
      .deleteOne({ _id: this.#id }, { session: this.#session });
  }

  table(as: string): TableDocuments {
    const table = this.#documents.new[as];
    if (table === undefined) throw new Error(`the remodel ${this.#model.name} has no new table ${as}`);
    return table;
  }

  get #model(): Model {
    return this.#documents.model;
  }

  get #id(): string {
    return idOf(this.#model, this.#identity);
  }

  /** The key may be left out of a row, and may be no other. */
  #keyed(row: Row): Row {
    return { ...row, [this.#model.key]: keyOfIdentity(this.#model, this.#identity) };
  }

  /** With null for what it leaves out. */
  #whole(table: TableDocuments, row: Row): Row {
    return Object.fromEntries(table.fields.map(({ property }) => [property, row[property] ?? null]));
  }

  #idOf(table: TableDocuments, row: Row): Value | undefined {
    return table.idPath === undefined ? undefined : table.idOf(row);
  }

  #place(table: TableDocuments, row: Row): string {
    return table.idPath === undefined ? '' : valueText(table.idOf(row));
  }

  async #read(as: string): Promise<readonly Buffer[]> {
    const seen = this.#seen.get(as);
    if (seen !== undefined) return seen;
    const table = this.table(as);
    const sort = table.idPath === undefined ? {} : { [table.idPath]: 1 as const };
    const cursor = collectionOf(this.#db, table)
      .find(table.ofIdentity(this.#identity), { ...RAW, session: this.#session })
      .sort(sort);
    const found = rawDocuments(await cursor.toArray());
    this.#seen.set(as, found);
    return found;
  }
}
