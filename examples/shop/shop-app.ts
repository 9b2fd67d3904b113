/**
 * The shop: an ordinary application that knows nothing of Godwit. It reads its
 * address from a file and again when the file changes, repeats what is refused
 * until it succeeds, and writes down every write that was acknowledged.
 */
import { openSync, writeSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import { type ClientSession, type Db, MongoError, MongoServerError } from 'mongodb';
import { Connection } from './connection.ts';
import { SIZES } from './data.ts';

export interface ShopSettings {
  readonly config: string;
  readonly log: string;
  readonly workers: number;
  readonly opsPerSecond: number;
}

/** What the shop tells whoever started it. */
export type ShopNews =
  | { readonly type: 'ready' }
  | { readonly type: 'moved'; readonly set: string }
  | { readonly type: 'failed'; readonly reason: string }
  | { readonly type: 'stopped'; readonly repeated: number; readonly givenUp: number };

const UNAUTHORIZED = 13;
const DUPLICATE_KEY = 11_000;
const PAUSE_MS = 20;

const settings = JSON.parse(process.argv[2] ?? '{}') as ShopSettings;
const tell = (news: ShopNews): void => void process.send?.(news);
const log = openSync(settings.log, 'a');
const connection = new Connection(settings.config, (set) => tell({ type: 'moved', set }));
let stopping = false;
let repeated = 0;
let givenUp = 0;

// Whoever started the shop says when it closes, and Ctrl-C is for them; when they are gone, so is the shop.
process.on('SIGINT', () => {});
process.on('disconnect', () => process.exit(1));
process.on('message', () => {
  stopping = true;
});

await connection.open();
tell({ type: 'ready' });
await Promise.all(Array.from({ length: settings.workers }, (_, worker) => work(worker)));
await connection.close();
tell({ type: 'stopped', repeated, givenUp });
process.disconnect();

/** A steady rate; time lost while the shop waits is not made up for. */
async function work(worker: number): Promise<void> {
  const everyMs = (1000 * settings.workers) / settings.opsPerSecond;
  let next = performance.now() + (everyMs * worker) / settings.workers;
  for (let number = 0; !stopping; number += 1) {
    const late = performance.now() - next;
    if (late < 0) await sleep(-late);
    next = Math.max(next, performance.now() - everyMs) + everyMs;
    await once(`${worker}-${number}`);
  }
}

/** One write of the shop's day, repeated under its key until it is acknowledged. */
async function once(op: string): Promise<void> {
  const dice = Math.random();
  const attempt = dice < 0.3 ? visit : dice < 0.55 ? pageView : dice < 0.78 ? transfer : order;
  const pick = Math.random();
  for (;;) {
    const { set } = connection;
    try {
      const line = await attempt(op, pick);
      writeSync(log, `${Date.now()} ${set} ${line}\n`);
      return;
    } catch (error) {
      if (!mayRepeat(error)) {
        givenUp += 1;
        stopping = true;
        tell({ type: 'failed', reason: error instanceof Error ? error.message : String(error) });
        return;
      }
      repeated += 1;
      await sleep(PAUSE_MS);
    }
  }
}

/** Refused for want of privilege, or lost on the way; anything else is a defect that must be seen. */
function mayRepeat(error: unknown): boolean {
  if (!(error instanceof MongoError)) return false;
  if (error instanceof MongoServerError) {
    return error.code === UNAUTHORIZED || error.hasErrorLabel('RetryableWriteError') || isTransient(error);
  }
  return true; // the driver's own: network, server selection, a client that was closed
}

function isTransient(error: MongoError): boolean {
  return error.hasErrorLabel('TransientTransactionError') || error.hasErrorLabel('UnknownTransactionCommitResult');
}

async function visit(op: string, pick: number): Promise<string> {
  const id = Math.floor(pick * SIZES.customers);
  // The key in the filter: an attempt that went through unheard is not done again.
  await connection.db
    .collection<{ _id: number; seen: string[] }>('customers')
    .updateOne({ _id: id, seen: { $ne: op } }, { $inc: { visits: 1 }, $push: { seen: op } });
  return `visit ${op} ${id}`;
}

async function pageView(op: string, pick: number): Promise<string> {
  const page = { op, at: new Date(), path: `/item/${Math.floor(pick * SIZES.items)}`, agent: 'x'.repeat(300) };
  const pages = connection.db.collection<{ _id: string }>('pageviews');
  await unlessThere(pages.insertOne({ _id: op, ...page }), '_id_');
  return `pageview ${op}`;
}

async function transfer(op: string, pick: number): Promise<string> {
  const from = Math.floor(pick * SIZES.accounts);
  const to = (from + 1 + Math.floor(((pick * 7919) % 1) * (SIZES.accounts - 1))) % SIZES.accounts;
  const amount = 1 + Math.floor(((pick * 104_729) % 1) * 50);
  await inTransaction(op, async (db, session) => {
    const accounts = db.collection<{ _id: number; balance: number }>('accounts');
    await db.collection('ledger').insertOne({ op, kind: 'transfer', from, to, amount }, { session });
    await accounts.updateOne({ _id: from }, { $inc: { balance: -amount } }, { session });
    await accounts.updateOne({ _id: to }, { $inc: { balance: amount } }, { session });
  });
  return `transfer ${op} ${from} ${to} ${amount}`;
}

async function order(op: string, pick: number): Promise<string> {
  const item = Math.floor(pick * SIZES.items);
  const quantity = 1 + Math.floor(((pick * 7919) % 1) * 5);
  const counters = connection.db.collection<{ _id: string; next: number }>('counters');
  const drawn = await counters.findOneAndUpdate({ _id: 'orders' }, { $inc: { next: 1 } }, { returnDocument: 'after' });
  const no = drawn?.next ?? 0;
  await inTransaction(op, async (db, session) => {
    const stock = db.collection<{ _id: number; left: number; sold: number }>('stock');
    await db.collection('ledger').insertOne({ op, kind: 'order', item, quantity }, { session });
    await db.collection('orders').insertOne({ no, op, item, quantity, at: new Date() }, { session });
    await stock.updateOne({ _id: item }, { $inc: { left: -quantity, sold: quantity } }, { session });
  });
  return `order ${op} ${item} ${quantity}`;
}

/** The ledger's unique key is what makes repeating a transaction harmless. */
async function inTransaction(op: string, body: (db: Db, session: ClientSession) => Promise<void>): Promise<void> {
  const { client, db } = connection;
  const session = client.startSession();
  try {
    await unlessThere(
      session.withTransaction(() => body(db, session)),
      'op_1',
    );
  } finally {
    await session.endSession().catch(() => op);
  }
}

/** The key is there already: an earlier attempt was carried out and only its answer was lost. */
async function unlessThere(work: Promise<unknown>, index: string): Promise<void> {
  try {
    await work;
  } catch (error) {
    const there =
      error instanceof MongoServerError && error.code === DUPLICATE_KEY && error.message.includes(`index: ${index} `);
    if (!there) throw error;
  }
}
