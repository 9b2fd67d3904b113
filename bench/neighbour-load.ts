/**
 * Another business on the source: reads and writes at a steady rate, in a
 * process of its own. Started by `bench:follow`. Each operation is sent at its
 * time whether or not earlier ones were answered, so that a stall is seen by
 * all that it holds up.
 */
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient } from 'mongodb';
import { randomOf } from './dataset.ts';

export interface NeighbourOrder {
  readonly uri: string;
  readonly documents: number;
  /** Operations a second, half of them reads. */
  readonly rate: number;
}

const REPORT_MS = 250;
const LOAD_BATCH = 10_000;
const TEXT = 'a neighbour minds its own business. '.repeat(12);

async function work(order: NeighbourOrder): Promise<void> {
  const client = await new MongoClient(order.uri, { maxPoolSize: 32 }).connect();
  const stock = client.db('market').collection<{ _id: number; sold: number; text: string }>('stock');
  for (let from = 0; from < order.documents; from += LOAD_BATCH) {
    const count = Math.min(LOAD_BATCH, order.documents - from);
    await stock.insertMany(Array.from({ length: count }, (_, i) => ({ _id: from + i, sold: 0, text: TEXT })));
  }
  const random = randomOf(3);
  let micros: number[] = [];
  setInterval(() => {
    console.log(JSON.stringify({ at: Date.now(), micros }));
    micros = [];
  }, REPORT_MS);

  const gapMs = 1000 / order.rate;
  const one = async (reads: boolean): Promise<void> => {
    const sentMs = performance.now();
    const _id = Math.floor(random() * order.documents);
    if (reads) await stock.findOne({ _id });
    else await stock.updateOne({ _id }, { $inc: { sold: 1 } });
    micros.push(Math.round((performance.now() - sentMs) * 1000));
  };
  for (let [i, dueMs] = [0, performance.now()]; ; i += 1, dueMs += gapMs) {
    await sleep(Math.max(0, dueMs - performance.now()));
    one(i % 2 === 0).catch(fail);
  }
}

function fail(error: unknown): void {
  console.error(error);
  process.exit(1);
}

await work(JSON.parse(process.argv[2] as string) as NeighbourOrder).catch(fail);
