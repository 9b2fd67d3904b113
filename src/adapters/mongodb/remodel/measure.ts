import type { ClientSession } from 'mongodb';
import type { Identity, Impact, Model } from '../../../kernel/remodel/index.ts';
import { findControl } from './control.ts';
import { collectionOf, documentsOf, type ModelDocuments, RAW, rawDocuments } from './documents.ts';
import { oldCollection, stateOf, viewIdentity } from './identity-view.ts';
import { NewRows } from './new-rows.ts';
import { lockIdentity } from './outbox.ts';
import type { Room } from './relay.ts';
import { storeError } from './transactions.ts';
import { downOf, upOf } from './transforms.ts';

/** Set on documents in transactions that are aborted. */
const MARK = '_godwit_measured';

/**
 * Times a plain write of an old document against a write through the library,
 * turn by turn, in transactions that are aborted: nothing of them stays. A
 * commit, which both need once, is in neither. The server says nothing of log
 * bytes before a commit: they are 0. As locks it counts documents written, each
 * of which a concurrent transaction would conflict on.
 */
export async function measureImpact(room: Room, model: Model, samples: number): Promise<Impact> {
  const documents = documentsOf(model);
  const plain: number[] = [];
  const dual: number[] = [];
  let dualLocks = 0;
  try {
    for (const raw of await sampleOld(room, documents, samples)) {
      const row = documents.old.decode(raw);
      const identity = String(row[model.key]);
      plain.push(await timed(room, (session) => writePlain(room, documents, identity, session)));
      let written = 0;
      const write = async (session: ClientSession) => {
        written = await writeBoth(room, documents, identity, raw, session);
      };
      dual.push(await timed(room, write));
      dualLocks = Math.max(dualLocks, written);
    }
  } catch (error) {
    throw storeError(error, `measuring writes of ${model.name}`);
  }
  return {
    samples: plain.length,
    plainP50Ms: quantile(plain, 0.5),
    plainP99Ms: quantile(plain, 0.99),
    dualP50Ms: quantile(dual, 0.5),
    dualP99Ms: quantile(dual, 0.99),
    plainLogBytes: 0,
    dualLogBytes: 0,
    plainLocks: plain.length === 0 ? 0 : 1,
    dualLocks,
  };
}

export async function sampleOld({ db }: Room, documents: ModelDocuments, limit: number): Promise<Buffer[]> {
  const control = await findControl(db, documents.model);
  const found = await oldCollection(db, documents, control ?? { isTrapped: false })
    .aggregate([{ $sample: { size: Math.max(1, limit) } }], RAW)
    .toArray();
  return rawDocuments(found).slice(0, limit);
}

async function timed({ client }: Room, work: (session: ClientSession) => Promise<void>): Promise<number> {
  const session = client.startSession();
  try {
    session.startTransaction({ readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority' } });
    const started = performance.now();
    await work(session);
    return performance.now() - started;
  } finally {
    if (session.inTransaction()) await session.abortTransaction();
    await session.endSession();
  }
}

async function writePlain(
  { db }: Room,
  documents: ModelDocuments,
  identity: Identity,
  session: ClientSession,
): Promise<void> {
  const filter = documents.old.ofIdentity(identity);
  await collectionOf(db, documents.old).updateOne(filter, { $set: { [MARK]: 1 } }, { session });
}

/** What `enter` and one write of the root cost; adoption with it where the old model owns the identity. */
async function writeBoth(
  { db }: Room,
  documents: ModelDocuments,
  identity: Identity,
  raw: Buffer,
  session: ClientSession,
): Promise<number> {
  const { model, root } = documents;
  const view = await viewIdentity(db, documents, identity, session);
  const isOwned = view.owner === 'new';
  const base = isOwned ? downOf(model, stateOf(documents, view)) : documents.old.decode(raw);
  await lockIdentity(db, model, identity, session, { kind: 'queue', base });
  if (isOwned) {
    await collectionOf(db, root).updateOne(root.ofIdentity(identity), { $set: { [MARK]: 1 } }, { session });
    return 2;
  }
  const state = upOf(model, documents.old.decode(raw));
  await new NewRows(db, session, documents, identity, view.documents).insert(state);
  return 1 + Object.values(state).reduce((sum, rows) => sum + rows.length, 0);
}

function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * part))] ?? 0;
}
