import type { ClientSession, Db, MongoClient } from 'mongodb';
import type { Identity, Model, State } from '../../../kernel/remodel/index.ts';
import { documentsOf } from './documents.ts';
import { stateOf, viewIdentity } from './identity-view.ts';
import { dbOf, inTheirs, transact } from './transactions.ts';

/**
 * The new state of an identity whose old document is behind. Read in one
 * snapshot, the application's own or one of a moment ago on the primary, so
 * that rows of one write are never seen without the others.
 */
export function pendingStateOf(
  client: MongoClient,
  dbName: string,
  model: Model,
  tx: ClientSession | undefined,
  identity: Identity,
): Promise<State | undefined> {
  const where = `reading what waits of an identity of ${model.name}`;
  if (tx?.inTransaction()) return inTheirs(where, () => read(dbOf(tx, dbName), model, tx, identity));
  return transact(client, where, (session) => read(client.db(dbName), model, session, identity));
}

async function read(db: Db, model: Model, session: ClientSession, identity: Identity): Promise<State | undefined> {
  const documents = documentsOf(model);
  const view = await viewIdentity(db, documents, identity, session);
  // Owned by nobody: the old document is the truth, whatever waits.
  if (view.waiting === undefined || view.owner === 'none') return undefined;
  return stateOf(documents, view);
}
