/** The ceiling of a copy: nothing to read, nothing to decide, only to send. */
import type { Cluster } from '../../src/adapters/mongodb/cluster.ts';
import { commandDoc } from '../../src/adapters/mongodb/wire/command.ts';
import { sliceBatch } from '../../src/adapters/mongodb/wire/cursor-batch.ts';
import { insertDocuments, type TargetName, waitForMajority } from '../../src/adapters/mongodb/write.ts';
import { type Batch, INDEXES } from '../dataset.ts';

/** The largest reply that a server gives is about 16 MB. */
const WHOLE_REPLY = 0x7fffffff;

/** Reads a collection in `_id` order; each batch (about 16 MB) has memory of its own when it is kept. */
export async function readCollection(cluster: Cluster, name: TargetName, keep: boolean): Promise<Batch[]> {
  const connection = await cluster.connectPrimary();
  const batches: Batch[] = [];
  try {
    let next = commandDoc({ find: name.collection, hint: { _id: 1 }, batchSize: WHOLE_REPLY, $db: name.db });
    for (;;) {
      const reply = await connection.request(next);
      const { docs, count, cursorId } = sliceBatch(reply.body);
      if (keep && count > 0) batches.push({ docs: Buffer.from(docs), count });
      reply.release();
      if (cursorId === 0n) return batches;
      next = commandDoc({ getMore: cursorId, collection: name.collection, $db: name.db });
    }
  } finally {
    connection.close();
  }
}

/** How batches are shared among connections: each takes the next one, or each has a part of its own. */
export type Sharing = 'next' | 'parts';

/** Sends kept batches over some connections, then builds the indexes in one command. Gives the seconds of both. */
export async function sendCollection(
  cluster: Cluster,
  name: TargetName,
  batches: readonly Batch[],
  options: { readonly connections: number; readonly sharing: Sharing },
): Promise<{ copySeconds: number; indexSeconds: number }> {
  const connections = await Promise.all(Array.from({ length: options.connections }, () => cluster.connectPrimary()));
  const began = performance.now();
  try {
    await cluster.db(name.db).createCollection(name.collection);
    const shared = [...batches];
    const share = Math.ceil(batches.length / connections.length);
    await Promise.all(
      connections.map(async (connection, i) => {
        const queue = options.sharing === 'next' ? shared : batches.slice(i * share, (i + 1) * share);
        for (let batch = queue.shift(); batch !== undefined; batch = queue.shift()) {
          await insertDocuments(connection, name, batch.docs, batch.count, { ordered: false, majority: false });
        }
        await waitForMajority(connection);
      }),
    );
    const copied = performance.now();
    await cluster.db(name.db).collection(name.collection).createIndexes(INDEXES);
    const indexed = performance.now();
    return { copySeconds: (copied - began) / 1000, indexSeconds: (indexed - copied) / 1000 };
  } finally {
    for (const connection of connections) connection.close();
  }
}
