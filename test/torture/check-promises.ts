import { Long } from 'bson';
import { MongoClient } from 'mongodb';
import type { Ledger } from './world.ts';
import { ACCOUNT_START, ACCOUNTS, tortureNames } from './world.ts';

export interface PromisesKept {
  /** Acknowledged by a majority, and not there. */
  readonly lost: number;
  /** There more than once. */
  readonly doubled: number;
  /** There, and never written by us. */
  readonly invented: number;
  /** Whether the balances still add up. */
  readonly sumHolds: boolean;
}

/** Holds a cluster against what the torture was promised, whatever the other cluster says. */
export async function checkPromises(uri: string, db: string, ledger: Ledger): Promise<PromisesKept> {
  const client = new MongoClient(uri, { serverSelectionTimeoutMS: 30_000 });
  try {
    const main = client.db(tortureNames(db).main);
    const times = new Map<number, number>();
    for await (const { n } of main.collection('ledger').find({}, { projection: { n: 1 } }))
      times.set(n, (times.get(n) ?? 0) + 1);
    const balances = await main.collection('accounts').find({}, { promoteLongs: false }).toArray();
    const sum = balances.reduce((total, { balance }) => total.add(Long.fromValue(balance)), Long.ZERO);
    return {
      lost: [...ledger.acknowledged].filter((n) => !times.has(n)).length,
      doubled: [...times.values()].filter((count) => count > 1).length,
      invented: [...times.keys()].filter((n) => !ledger.attempted.has(n)).length,
      sumHolds: balances.length === ACCOUNTS && sum.equals(ACCOUNTS * ACCOUNT_START),
    };
  } finally {
    await client.close();
  }
}
