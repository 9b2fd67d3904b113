/**
 * What a database held at a time, made anew on a server of its own from the source's log: every entry of it up to
 * that time, in order, by the server's own `applyOps`. It shares nothing with Godwit, so that a mistake there cannot
 * hide itself here. The log must reach back to before the database was made.
 */
import type { Document, Long, MongoClient, Timestamp } from 'mongodb';

/** Gives how many operations were replayed. */
export async function rebuildAsOf(
  source: MongoClient,
  scratch: MongoClient,
  db: string,
  at: Timestamp,
): Promise<number> {
  const log = source.db('local').collection('oplog.rs', { promoteValues: false, readPreference: 'primary' });
  /** Parts of transactions whose end is not read yet, by session and number. */
  const parts = new Map<string, Document[]>();
  let replayed = 0;
  let batch: Document[] = [];
  const flush = async (): Promise<void> => {
    if (batch.length > 0) await replay(scratch, batch);
    replayed += batch.length;
    batch = [];
  };
  for await (const entry of log.find({ ts: { $lte: at } }).sort({ $natural: 1 })) {
    for (const operation of operationsOf(entry, parts)) {
      if (operation['ns'].split('.')[0] !== db) continue;
      if (operation['op'] === 'c') await flush();
      if (await builtIndexes(scratch, db, operation)) continue;
      batch.push(operation);
      if (operation['op'] === 'c' || batch.length >= 500) await flush();
    }
  }
  await flush();
  return replayed;
}

/** What an entry does: itself, or all of a transaction when this is its end. */
function operationsOf(entry: Document, parts: Map<string, Document[]>): Document[] {
  if (entry['op'] === 'n') return [];
  const inner = entry['o'].applyOps as Document[] | undefined;
  if (inner === undefined) return [operationOf(entry)];
  const key = entry['lsid'] ? `${entry['lsid'].id} ${entry['txnNumber'] as Long}` : '';
  const all = [...(parts.get(key) ?? []), ...inner.map(operationOf)];
  parts.delete(key);
  if (entry['o'].prepare) throw new Error('A replica set prepares no transaction');
  if (!entry['o'].partialTxn) return all;
  parts.set(key, all);
  return [];
}

/** Without session, position and identity of the collection: those belong to the source. */
function operationOf({ op, ns, o, o2 }: Document): Document {
  return { op, ns, o, ...(o2 === undefined ? {} : { o2 }) };
}

async function replay(scratch: MongoClient, operations: readonly Document[]): Promise<void> {
  const answer = await scratch.db('admin').command({ applyOps: operations });
  const failed = (answer['results'] as boolean[]).indexOf(false);
  if (failed >= 0) throw new Error(`It could not be replayed: ${JSON.stringify(operations[failed])}`);
}

/** `applyOps` makes no indexes: the command does. False when the entry is none of an index. */
async function builtIndexes(scratch: MongoClient, db: string, { op, o }: Document): Promise<boolean> {
  if (op !== 'c') return false;
  if (o.startIndexBuild !== undefined) return true;
  const collection = o.createIndexes ?? o.commitIndexBuild;
  if (collection === undefined) return false;
  const { createIndexes: _, ...one } = o;
  await scratch.db(db).command({ createIndexes: collection, indexes: o.indexes ?? [one] });
  return true;
}
