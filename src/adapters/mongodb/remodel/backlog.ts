import type { Collection, Db } from 'mongodb';
import type { Backlog, Model } from '../../../kernel/remodel/index.ts';
import { findControl } from './control.ts';
import { collectionOf, documentsOf } from './documents.ts';
import { notCreated, oldCollection } from './identity-view.ts';
import { CONTROL, idsOf } from './names.ts';
import { outboxOf, waitingOf } from './outbox.ts';
import { storeError } from './transactions.ts';

/** See `RemodelStore.backlog`. Counts of large collections are those of their metadata. */
export async function readBacklog(db: Db, model: Model): Promise<Backlog> {
  const documents = documentsOf(model);
  const control = await findControl(db, model);
  if (control === undefined) throw notCreated(model.name);
  const counted = (name: string) => db.collection<{ _id: string }>(name).countDocuments({ _id: idsOf(model) });
  const sum = { $group: { _id: null, pending: { $sum: 1 }, at: { $min: '$at' } } };
  const age = { $set: { oldestMs: { $subtract: ['$$NOW', '$at'] } } };
  try {
    const [[waiting], dirty, quarantined, lossy, owned, tombstones, oldRows] = await Promise.all([
      outboxOf(db)
        .aggregate<{ pending: number; oldestMs: number }>([{ $match: waitingOf(model) }, sum, age])
        .toArray(),
      counted(CONTROL.dirty),
      counted(CONTROL.quarantine),
      countLossy(db, model),
      countOwned(collectionOf(db, documents.root)),
      counted(CONTROL.tombstone),
      oldCollection(db, documents, control).estimatedDocumentCount(),
    ]);
    const pending = waiting?.pending ?? 0;
    const oldestMs = Math.max(0, Number(waiting?.oldestMs ?? 0));
    return { pending, oldestMs, dirty, quarantined, lossy, owned, tombstones, oldRows };
  } catch (error) {
    throw storeError(error, `reading the backlog of ${model.name}`);
  }
}

/** Below this a count is exact: whether nothing is left decides, and metadata may be wrong after a crash of the server. */
const EXACT_BELOW = 10_000;

async function countOwned(root: Collection): Promise<number> {
  const exact = await root.countDocuments({}, { limit: EXACT_BELOW });
  return exact < EXACT_BELOW ? exact : Math.max(exact, await root.estimatedDocumentCount());
}

/** Identities with more rows than the old model has room for. */
async function countLossy(db: Db, model: Model): Promise<number> {
  const list = model.inverse.list ?? model.lists[0];
  const table = list === undefined ? undefined : documentsOf(model).new[list];
  if (table === undefined || model.inverse.policy === 'overflow') return 0;
  const key = `$${table.keyPath}`;
  const pipeline = [{ $group: { _id: key, rows: { $sum: 1 } } }, { $match: { rows: { $gt: 1 } } }, { $count: 'lossy' }];
  const [found] = await collectionOf(db, table)
    .aggregate<{ lossy: number }>(pipeline, { allowDiskUse: true })
    .toArray();
  return found?.lossy ?? 0;
}
