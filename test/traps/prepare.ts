/** Prepared transactions, which only shards make by themselves; test servers prepare one when told to. */
import type { ClientSession, MongoClient, Timestamp } from 'mongodb';

/** Prepares the session's transaction; gives what commits it. `session.abortTransaction()` aborts it. */
export async function prepare(client: MongoClient, session: ClientSession): Promise<() => Promise<unknown>> {
  const admin = client.db('admin');
  const { prepareTimestamp } = await admin.command(
    { prepareTransaction: 1, writeConcern: { w: 'majority' } },
    { session },
  );
  return () =>
    admin.command(
      { commitTransaction: 1, commitTimestamp: prepareTimestamp as Timestamp, writeConcern: { w: 'majority' } },
      { session },
    );
}
