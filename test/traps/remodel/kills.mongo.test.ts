/** Trap 6 on MongoDB. */
import { Long, type MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { MongoRemodelStore } from '../../../src/adapters/mongodb/index.ts';
import { definitionHash } from '../../../src/kernel/remodel/index.ts';
import { type ReplicaSet, startReplicaSet } from '../../servers/index.ts';
import { CUSTOMERS, killEverywhere } from './kill-everywhere.ts';
import { mongoSubs } from './killed.fixture.ts';

let rs: ReplicaSet;
let client: MongoClient;
beforeAll(async () => {
  // The server keeps the transaction of a process that is gone until this has passed (by default a minute).
  rs = await startReplicaSet({ setParameter: { transactionLifetimeLimitSeconds: 5 } });
  client = await rs.client();
});
afterAll(() => rs?.stop());

test('a process killed at any round trip from the first statement of a write to the end of its relay leaves nothing half done', async () => {
  const db = client.db('shop');
  const customers = db.collection<{ _id: Long | number; email: string; subscription: { plan: string } }>('customers');
  const rows = CUSTOMERS.map((id) => ({
    _id: Long.fromNumber(id),
    email: 'first',
    subscription: { plan: 'first' },
  }));
  const store = new MongoRemodelStore(client, { database: 'shop' });
  await customers.insertMany(rows);
  await store.create(mongoSubs, definitionHash(mongoSubs));
  await store.change(mongoSubs, 1, { phase: 'dual', ramp: 10_000 }, 'test', {});
  try {
    await killEverywhere({ KILLED_STORE: 'mongodb', KILLED_URI: rs.uri }, store, mongoSubs, {
      old: async (id) => {
        const found = await customers.findOne({ _id: Long.fromNumber(id) });
        return found === null ? undefined : [found.email, found.subscription.plan];
      },
      fresh: async (id) => {
        const root = await db
          .collection<{ _id: Long; email: string }>('customers_v2')
          .findOne({ _id: Long.fromNumber(id) });
        const list = await db
          .collection('subscriptions')
          .find({ customerId: Long.fromNumber(id) })
          .toArray();
        expect(list).toHaveLength(root === null ? 0 : 1);
        return root === null ? undefined : [root.email, list[0]?.['plan']];
      },
    });
  } finally {
    await store.close();
  }
});
