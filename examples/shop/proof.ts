/**
 * The demo's own proof, with nothing of Godwit in it: what the shop wrote down
 * as acknowledged is compared with what the new cluster holds.
 */
import { isDeepStrictEqual } from 'node:util';
import type { Db, Document } from 'mongodb';
import { customer, OPENING_BALANCE, OPENING_STOCK, SIZES } from './data.ts';
import type { Acknowledged } from './figures.ts';

export interface Verdict {
  readonly lost: number;
  readonly doubled: number;
  /** Present although nobody was told so; none is expected after an orderly stop. */
  readonly unannounced: number;
  readonly orders: number;
  /** Everything else that must hold; empty when it does. */
  readonly broken: readonly string[];
}

/** A fingerprint that the server makes itself; locks the collection's database meanwhile. */
export async function fingerprint(db: Db, collection: string): Promise<string> {
  const { collections } = await db.command({ dbHash: 1, collections: [collection] });
  return `${(collections as Record<string, string>)[collection]}`;
}

/** @param archive what `fingerprint` said of the archive before the migration */
export async function proveShop(db: Db, writes: readonly Acknowledged[], archive: string): Promise<Verdict> {
  const broken: string[] = [];
  const must = (holds: boolean, what: string): void => {
    if (!holds) broken.push(what);
  };
  const found = await marksOf(db, must);
  const acknowledged = new Set(writes.map(({ op }) => op));
  must(acknowledged.size === writes.length, 'the shop used a key twice');
  const counts = [...acknowledged].map((op) => found.get(op) ?? 0);
  const lost = counts.filter((times) => times === 0).length;
  const doubled = [...found.values()].filter((times) => times > 1).length;
  const unannounced = [...found.keys()].filter((op) => !acknowledged.has(op)).length;

  const numbers = await db.collection('orders').distinct('no');
  const orders = await db.collection('orders').countDocuments();
  must(numbers.length === orders, `${orders - numbers.length} order numbers are used twice`);
  await sumsHold(db, writes, must);
  must((await fingerprint(db, 'archive')) === archive, 'the archive is not what it was');
  must((await db.collection('archive').countDocuments()) === SIZES.archive, 'the archive is not complete');
  return { lost, doubled, unannounced, orders, broken };
}

type Must = (holds: boolean, what: string) => void;

/** How often the mark of each write is there, wherever its kind leaves one. */
async function marksOf(db: Db, must: Must): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  const mark = (op: string): void => void found.set(op, (found.get(op) ?? 0) + 1);
  const ordered = new Map<string, number>();
  for await (const row of db.collection('orders').find()) {
    ordered.set(row['op'], (ordered.get(row['op']) ?? 0) + 1);
  }
  let halves = 0;
  for await (const row of db.collection('ledger').find()) {
    mark(row['op']);
    // An order is a ledger row and an order document, or neither: they were one transaction.
    if (row['kind'] === 'order' && ordered.get(row['op']) !== 1) halves += 1;
    ordered.delete(row['op']);
  }
  must(halves + ordered.size === 0, `${halves + ordered.size} transactions arrived in part`);
  for await (const row of db.collection('pageviews').find()) mark(row['op']);
  let strange = 0;
  let customers = 0;
  for await (const { visits, seen, ...rest } of db.collection('customers').find() as AsyncIterable<Document>) {
    customers += 1;
    for (const op of seen as string[]) mark(op);
    const { visits: _visits, seen: _seen, ...made } = customer(rest['_id'] as number);
    if (visits !== (seen as string[]).length || !isDeepStrictEqual(rest, made)) strange += 1;
  }
  must(
    strange === 0 && customers === SIZES.customers,
    `${strange} of ${customers} customers are not what they should be`,
  );
  return found;
}

/** Balances and stock, computed again from the shop's own log: a write carried out twice would show here. */
async function sumsHold(db: Db, writes: readonly Acknowledged[], must: Must): Promise<void> {
  const balances = new Map<number, number>();
  const sold = new Map<number, number>();
  const add = (sums: Map<number, number>, key: number, value: number): void =>
    void sums.set(key, (sums.get(key) ?? 0) + value);
  for (const { kind, numbers } of writes) {
    const [first = 0, second = 0, third = 0] = numbers;
    if (kind === 'transfer') {
      add(balances, first, -third);
      add(balances, second, third);
    } else if (kind === 'order') add(sold, first, second);
  }
  const accounts = await db.collection<{ _id: number; balance: number }>('accounts').find().toArray();
  const total = accounts.reduce((sum, account) => sum + account.balance, 0);
  must(total === SIZES.accounts * OPENING_BALANCE, `the sum of all accounts changed to ${total}`);
  const wrong = accounts.filter(({ _id, balance }) => balance !== OPENING_BALANCE + (balances.get(_id) ?? 0));
  must(wrong.length === 0, `${wrong.length} accounts have a wrong balance`);
  const stock = await db.collection<{ _id: number; left: number; sold: number }>('stock').find().toArray();
  const off = stock.filter(
    (item) => item.sold !== (sold.get(item._id) ?? 0) || item.left !== OPENING_STOCK - item.sold,
  );
  must(stock.length === SIZES.items && off.length === 0, `${off.length} items have a wrong stock`);
}
