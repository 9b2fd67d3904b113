/**
 * Writes to the source at a steady rate, in a process of its own, so that
 * neither it nor the measuring limits the other. Started by `bench:follow`.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster } from '../src/adapters/mongodb/cluster.ts';
import { makeOperations, readIds, sendBatch, sizeOfBatch } from './parts/operations.ts';

export interface LagWriterOrder {
  readonly uri: string;
  readonly db: string;
  readonly collection: string;
  readonly documentBytes: number;
  readonly seed: number;
  /** Writes a second in all, and of them to one document. */
  readonly rate: number;
  readonly hotRate: number;
  readonly seconds: number;
}

const TICK_MS = 20;

async function write(order: LagWriterOrder): Promise<void> {
  const { db, collection, rate, hotRate, seconds } = order;
  const cluster = await Cluster.connect('source', order.uri);
  const ids = await readIds(cluster, { db, collection });
  const hot = { id: `hot-${order.seed}`, perBatch: Math.round((hotRate * TICK_MS) / 1000) };
  await cluster.db(db).collection<{ _id: string; n: number }>(collection).insertOne({ _id: hot.id, n: 0 });
  const batchSize = Math.round(((rate - hotRate) * TICK_MS) / 1000);
  const operations = batchSize * Math.round((seconds * 1000) / TICK_MS);
  const [batches = []] = makeOperations({
    ids,
    operations,
    documentBytes: order.documentBytes,
    seed: order.seed,
    lanes: 1,
    batchSize,
    hot,
  });
  const connection = await cluster.connectPrimary();
  console.log(JSON.stringify({ started: Date.now() }));
  const began = performance.now();
  let written = 0;
  for (const [i, batch] of batches.entries()) {
    await sleep(Math.max(0, began + i * TICK_MS - performance.now()));
    await sendBatch(connection, { db, collection }, batch);
    written += sizeOfBatch(batch);
  }
  console.log(JSON.stringify({ written, perSecond: written / ((performance.now() - began) / 1000) }));
  connection.close();
  await cluster.close();
}

await write(JSON.parse(process.argv[2] as string) as LagWriterOrder);
