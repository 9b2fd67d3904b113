/** What one server holds, now or at an earlier cluster time, by the driver alone. */
import type { Timestamp } from 'bson';
import type { Long, MongoClient } from 'mongodb';

/** Every document as raw bytes (hexadecimal), in the order of `_id`, or in natural order. */
export async function documentsAsOf(
  client: MongoClient,
  db: string,
  collection: string,
  options: { readonly at?: Timestamp; readonly natural?: boolean } = {},
): Promise<string[]> {
  const { at, natural = false } = options;
  const readConcern = at ? { level: 'snapshot', atClusterTime: at } : { level: 'local' };
  const sort = natural ? { $natural: 1 } : { _id: 1 };
  const read = {
    fieldsAsRaw: { firstBatch: true, nextBatch: true },
    promoteLongs: false,
    readPreference: 'primaryPreferred',
  } as const;
  // One session: the cursor belongs to it.
  return client.withSession(async (session) => {
    const run = (command: object) => client.db(db).command(command, { ...read, session });
    const out: string[] = [];
    let { cursor } = await run({ find: collection, sort, batchSize: 1000, readConcern });
    for (;;) {
      for (const doc of (cursor.firstBatch ?? cursor.nextBatch) as Uint8Array[])
        out.push(Buffer.from(doc).toString('hex'));
      if ((cursor.id as Long).isZero()) return out;
      ({ cursor } = await run({ getMore: cursor.id, collection, batchSize: 1000 }));
    }
  });
}
