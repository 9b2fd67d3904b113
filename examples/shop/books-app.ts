/**
 * The neighbour: another business on the old cluster. It is never told of the
 * migration, never repeats anything, and writes down how long each write took
 * and each one that was refused.
 */
import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { MongoClient, MongoServerError } from 'mongodb';

export interface BooksSettings {
  readonly url: string;
  readonly log: string;
  readonly workers: number;
  readonly opsPerSecond: number;
}

export type BooksNews = { readonly type: 'ready' } | { readonly type: 'stopped' };

const SHELVES = 2000;
const settings = JSON.parse(process.argv[2] ?? '{}') as BooksSettings;
const tell = (news: BooksNews): void => void process.send?.(news);
const log = openSync(settings.log, 'a');
let stopping = false;

process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit(1));
process.on('message', () => {
  stopping = true;
});

// No retries by the driver either: the neighbour is to feel everything.
const client = await new MongoClient(settings.url, { retryWrites: false }).connect();
const shelves = client.db().collection<{ _id: number; books: number; text: string }>('shelves');
const loans = client.db().collection('loans');
await shelves.insertMany(Array.from({ length: SHELVES }, (_, id) => ({ _id: id, books: 0, text: 'y'.repeat(500) })));
tell({ type: 'ready' });
await Promise.all(Array.from({ length: settings.workers }, (_, worker) => work(worker)));
await client.close();
tell({ type: 'stopped' });
process.disconnect();

async function work(worker: number): Promise<void> {
  const everyMs = (1000 * settings.workers) / settings.opsPerSecond;
  let next = performance.now() + (everyMs * worker) / settings.workers;
  for (let number = 0; !stopping; number += 1) {
    const early = next - performance.now();
    if (early > 0) await sleep(early);
    next = Math.max(next, performance.now() - everyMs) + everyMs;
    const began = performance.now();
    let outcome = 'ok';
    try {
      const shelf = Math.floor(Math.random() * SHELVES);
      if (number % 2 === 0) await shelves.updateOne({ _id: shelf }, { $inc: { books: 1 } });
      else await loans.insertOne({ worker, number, shelf, at: new Date() });
    } catch (error) {
      outcome = error instanceof MongoServerError ? `code-${error.code}` : 'error';
    }
    writeSync(log, `${Date.now()} ${(performance.now() - began).toFixed(2)} ${outcome}\n`);
  }
}
