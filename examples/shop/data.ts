/**
 * The shop's data before anything happens. Every document follows from its
 * number alone, so that the proof can make it again and needs no copy of it.
 */
import type { Db, Document } from 'mongodb';

export const SIZES = { customers: 20_000, archive: 130_000, accounts: 400, items: 300 } as const;
export const OPENING_BALANCE = 10_000;
export const OPENING_STOCK = 1_000_000;

const BATCH = 1000;
const WORDS =
  'amber birch cedar delta ember fjord grove heath inlet juniper kelp larch marsh north ochre pine quartz reed sedge tide umber vale willow yarrow zephyr'.split(
    ' ',
  );

/** A megabyte of words to cut from: cheaper than putting each text together. */
const BOOK = (() => {
  let state = 12_345;
  let text = '';
  while (text.length < 1_000_000) {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    text += `${WORDS[(state >>> 16) % WORDS.length]}${state & 255} `;
  }
  return text;
})();

function prose(seed: number, length: number): string {
  const from = (seed * 2_654_435_761) % (BOOK.length - length);
  return BOOK.slice(from, from + length);
}

export function customer(number: number): Document {
  return {
    _id: number,
    name: `Customer ${number}`,
    email: `c${number}@example.org`,
    address: prose(number, 800),
    visits: 0,
    seen: [],
  };
}

/** An order of an earlier year: nobody writes it any more, all of it must arrive. */
export function archived(number: number): Document {
  return {
    _id: `A-${((number * 2654435761) >>> 0).toString(36)}-${number}`,
    customer: number % SIZES.customers,
    at: new Date(1_600_000_000_000 + number * 60_000),
    total: (number % 9973) / 100,
    lines: [{ item: number % SIZES.items, quantity: 1 + (number % 4) }],
    note: prose(number + 7, 850),
  };
}

export function account(number: number): Document {
  return { _id: number, balance: OPENING_BALANCE };
}

export function item(number: number): Document {
  return { _id: number, name: `Item ${number}`, left: OPENING_STOCK, sold: 0 };
}

/** Fills the shop's database and makes its indexes. */
export async function openShop(db: Db, signal: AbortSignal): Promise<void> {
  await db.collection('customers').createIndex({ email: 1 }, { unique: true });
  await db.collection('archive').createIndex({ customer: 1, at: -1 });
  await db.collection('orders').createIndex({ no: 1 }, { unique: true });
  await db.collection('ledger').createIndex({ op: 1 }, { unique: true });
  await db.collection('pageviews').createIndex({ at: 1 }, { expireAfterSeconds: 86_400 });
  await db.collection<{ _id: string; next: number }>('counters').insertOne({ _id: 'orders', next: 0 });
  await fill(db, 'accounts', SIZES.accounts, account, signal);
  await fill(db, 'stock', SIZES.items, item, signal);
  await fill(db, 'customers', SIZES.customers, customer, signal);
  await fill(db, 'archive', SIZES.archive, archived, signal);
}

async function fill(
  db: Db,
  name: string,
  total: number,
  make: (number: number) => Document,
  signal: AbortSignal,
): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < total) {
      signal.throwIfAborted();
      const from = next;
      next += BATCH;
      const documents = Array.from({ length: Math.min(BATCH, total - from) }, (_, index) => make(from + index));
      await db.collection(name).insertMany(documents, { ordered: false, writeConcern: { w: 1 } });
    }
  };
  // Two, so that one batch is made while the server takes the other.
  await Promise.all([worker(), worker()]);
}
