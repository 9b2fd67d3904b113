import type { ClientSession, Document } from 'mongodb';
import type { Identity, Model, State } from '../../../kernel/remodel/index.ts';
import { discharge } from './carry.ts';
import { findControl } from './control.ts';
import { collectionOf, documentsOf, type ModelDocuments, RAW, rawDocuments } from './documents.ts';
import { notCreated, oldCollection } from './identity-view.ts';
import { CONTROL, identityOfId, idOf } from './names.ts';
import { lockUpdate, outboxOf } from './outbox.ts';
import { quarantine, type Room } from './relay.ts';
import { eachOf, isOfTheRow, transact } from './transactions.ts';
import { upOf } from './transforms.ts';

/** Identities in one transaction. */
const BATCH = 50;
/** Transactions at the same time. */
const AT_ONCE = 4;

/**
 * See `RemodelStore.adopt`. In batches; a batch that conflicts with the
 * application, or that holds a row which is refused, is done one by one.
 */
export async function adoptAll(
  room: Room,
  model: Model,
  identities: readonly Identity[],
): Promise<{ adopted: number; quarantined: number }> {
  const done = { adopted: 0, quarantined: 0 };
  const distinct = [...new Set(identities)];
  const batches = Array.from({ length: Math.ceil(distinct.length / BATCH) }, (_, index) =>
    distinct.slice(index * BATCH, (index + 1) * BATCH),
  );
  await eachOf(batches, AT_ONCE, async (batch) => {
    const adopted = await tryBatch(room, model, batch);
    if (adopted !== undefined) done.adopted += adopted;
    else for (const identity of batch) await adoptOne(room, model, identity, done);
  });
  return done;
}

/** Undefined when it has to be done one by one. */
async function tryBatch({ client, db }: Room, model: Model, batch: readonly Identity[]): Promise<number | undefined> {
  const options = { readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority' } } as const;
  const session = client.startSession();
  try {
    session.startTransaction(options);
    const adopted = await adoptIn({ client, db }, documentsOf(model), batch, session);
    await session.commitTransaction();
    return adopted;
  } catch {
    // Whatever it was, it shows again where it can be told of one identity.
    return undefined;
  } finally {
    await session.endSession();
  }
}

async function adoptOne(
  room: Room,
  model: Model,
  identity: Identity,
  done: { adopted: number; quarantined: number },
): Promise<void> {
  try {
    const where = `adopting an identity of ${model.name}`;
    const adopted = await transact(room.client, where, (session) =>
      adoptIn(room, documentsOf(model), [identity], session),
    );
    // Not in one step: others add to the sum while this one waits.
    done.adopted += adopted;
  } catch (error) {
    if (!isOfTheRow(error)) throw error;
    await quarantine(room, model, identity, error);
    done.quarantined += 1;
  }
}

async function adoptIn(
  { db }: Room,
  documents: ModelDocuments,
  identities: readonly Identity[],
  session: ClientSession,
): Promise<number> {
  const { model, old } = documents;
  const control = await findControl(db, model, session);
  if (control === undefined) throw notCreated(model.name);
  const free = await unowned(db, documents, identities, session);
  if (free.length === 0) return 0;
  const keys = free.map((identity) => old.keyValue(identity));
  const found = await oldCollection(db, documents, control)
    .find({ [old.keyPath]: { $in: keys } }, { ...RAW, session })
    .toArray();
  const rows = rawDocuments(found).map((raw) => old.decode(raw));
  if (rows.length === 0) return 0;
  const adopted = rows.map((row) => String(row[model.key]));
  await lockAll(db, model, adopted, session);
  await insertAll(
    db,
    documents,
    rows.map((row) => upOf(model, row)),
    session,
  );
  for (const identity of await quarantinedOf(db, model, adopted, session))
    await discharge(db, documents, identity, session);
  return rows.length;
}

/** Those that have neither root nor tombstone. */
async function unowned(
  db: Room['db'],
  documents: ModelDocuments,
  identities: readonly Identity[],
  session: ClientSession,
): Promise<Identity[]> {
  const { model, root } = documents;
  const keys = identities.map((identity) => root.keyValue(identity));
  const roots = await collectionOf(db, root)
    .find({ [root.keyPath]: { $in: keys } }, { ...RAW, session, projection: { [root.keyPath]: 1 } })
    .toArray();
  const owned = new Set(rawDocuments(roots).map((raw) => root.identityOf(raw)));
  for (const identity of await namedIn(db, CONTROL.tombstone, model, identities, session)) owned.add(identity);
  return identities.filter((identity) => !owned.has(identity));
}

function quarantinedOf(db: Room['db'], model: Model, identities: readonly Identity[], session: ClientSession) {
  return namedIn(db, CONTROL.quarantine, model, identities, session);
}

async function namedIn(
  db: Room['db'],
  collection: string,
  model: Model,
  identities: readonly Identity[],
  session: ClientSession,
): Promise<Identity[]> {
  const _id = { $in: identities.map((identity) => idOf(model, identity)) };
  const found = await db
    .collection<{ _id: string }>(collection)
    .find({ _id }, { session, projection: { _id: 1 } })
    .toArray();
  return found.map((each) => identityOfId(model, each._id));
}

async function lockAll(
  db: Room['db'],
  model: Model,
  identities: readonly Identity[],
  session: ClientSession,
): Promise<void> {
  const update = lockUpdate(model, { kind: 'clear' });
  const writes = identities.map((identity) => ({
    updateOne: { filter: { _id: idOf(model, identity) }, update, upsert: true },
  }));
  await outboxOf(db).bulkWrite(writes, { session });
}

async function insertAll(
  db: Room['db'],
  documents: ModelDocuments,
  states: readonly State[],
  session: ClientSession,
): Promise<void> {
  for (const [as, table] of Object.entries(documents.new)) {
    const rows: Document[] = states.flatMap((state) => (state[as] ?? []).map((row) => table.document(row)));
    if (rows.length > 0) await collectionOf(db, table).insertMany(rows, { session });
  }
}
