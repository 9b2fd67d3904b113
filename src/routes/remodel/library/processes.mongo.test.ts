/** Two processes of one application on one remodel in MongoDB, as in processes.pg.test.ts. */
import { type Collection, Int32, Long, type MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import { waitFor } from '../../../../test/servers/wait-for.ts';
import {
  bigint,
  type ControlChange,
  defineMigration,
  definitionHash,
  integer,
  mongoCollection,
  type RowOf,
  text,
  uuid,
} from '../../../kernel/remodel/index.ts';
import { createGodwit, mongoStore } from './index.ts';

const subs = defineMigration({
  name: 'subs',
  key: 'customerId',
  from: mongoCollection('customers', {
    customerId: bigint().named('_id'),
    email: text(),
    plan: text().nullable().named('subscription.plan'),
    amount: integer().nullable().named('subscription.amount'),
  }),
  to: {
    customer: mongoCollection('customers_v2', { customerId: bigint().named('_id'), email: text() }),
    subscription: mongoCollection(
      'subscriptions',
      { id: uuid().named('_id'), customerId: bigint(), plan: text(), amount: integer() },
      { many: true },
    ),
  },
  up: (old) => ({
    customer: { customerId: old.customerId, email: old.email },
    subscription: old.plan === null ? [] : [{ customerId: old.customerId, plan: old.plan, amount: old.amount ?? 0 }],
  }),
  down: ({ customer, subscription: [sub] }) => ({ ...customer, plan: sub?.plan ?? null, amount: sub?.amount ?? null }),
  inverse: { policy: 'block' },
});
const DATABASE = 'shop';
const CUSTOMERS = 24;

let rs: ReplicaSet;
let operator: MongoClient;
beforeAll(async () => {
  rs = await startReplicaSet();
  operator = await rs.client();
});
afterAll(() => rs?.stop());

interface OldDocument {
  _id: Long | number;
  email: string;
  subscription?: { plan?: string; amount?: number };
}
const oldOf = (client: MongoClient): Collection<OldDocument> => client.db(DATABASE).collection('customers');
const shown = (row: Pick<RowOf<typeof subs.definition.from.columns>, 'email' | 'plan' | 'amount'>) => [
  row.email,
  row.plan,
  row.amount,
];

async function startProcess() {
  const client = await rs.client();
  const godwit = await createGodwit({ store: mongoStore({ client, db: DATABASE }), migrations: [subs] });
  const legacy = async (id: number) => {
    const found = await oldOf(client).findOne({ _id: Long.fromNumber(id) });
    if (found === null) return null;
    return [found.email, found.subscription?.plan ?? null, found.subscription?.amount ?? null];
  };
  return {
    godwit,
    legacy,
    write: (id: number, email: string, plus: number) =>
      client.withSession((session) =>
        session.withTransaction(() =>
          godwit.write(subs, id, session, async (m) => {
            await m.customer.set({ email });
            const [sub] = await m.subscription.list();
            if (sub === undefined) await m.subscription.insert({ plan: 'gold', amount: plus });
            else await m.subscription.update(sub.id, { amount: sub.amount + plus });
          }),
        ),
      ),
    remove: (id: number) =>
      client.withSession((session) =>
        session.withTransaction(() => godwit.write(subs, id, session, (m) => m.delete())),
      ),
    read: (id: number) =>
      godwit.read(subs, id, {
        old: (row) => (row === undefined ? legacy(id) : row && shown(row)),
        new: () => Promise.reject(new Error('reads have not moved')),
      }),
  };
}

test('first case: nothing lost, doubled or read from the past while the ramp moves and the copier runs', async () => {
  await oldOf(operator).insertMany(
    Array.from({ length: CUSTOMERS }, (_, i) => ({
      _id: Long.fromNumber(i + 1),
      email: `c${i + 1}@x`,
      ...(i % 2 === 0 ? { subscription: { plan: 'gold', amount: new Int32(0) as unknown as number } } : {}),
    })),
  );
  const store = await mongoStore({ client: operator, db: DATABASE }).open();
  await expect(startProcess()).rejects.toMatchObject({ code: 'GW1004' });
  await store.create(subs, definitionHash(subs));
  const change = async (to: ControlChange) =>
    store.change(subs, (await store.control(subs))?.epoch ?? 0, to, 'test', {});
  await change({ phase: 'dual', ramp: 0 });
  const [a, b] = [await startProcess(), await startProcess()];

  let isDone = false;
  const mover = (async () => {
    for (let n = 0; !isDone; n++) {
      await change({ ramp: [0, 10_000, 3_000, 10_000][n % 4] as number });
      await store.adopt(subs, [String(1 + (n % CUSTOMERS)), String(1 + ((n * 5) % CUSTOMERS))]);
    }
  })();
  const writes = new Map<number, number>();
  let stale = 0;
  let staleWithoutCare = 0;
  await Promise.all(
    Array.from({ length: 6 }, async (_, lane) => {
      for (let n = 0; n < 200; n++) {
        const [writer, reader] = n % 2 === 0 ? [a, b] : [b, a];
        const id = 1 + lane * 4 + (n % 4);
        const email = `${lane}-${n}@x`;
        await writer.write(id, email, 1);
        writes.set(id, (writes.get(id) ?? 0) + 1);
        if ((await reader.legacy(id))?.[0] !== email) staleWithoutCare += 1;
        if (JSON.stringify(await reader.read(id)) !== JSON.stringify([email, 'gold', writes.get(id)])) stale += 1;
      }
    }),
  );
  isDone = true;
  await mover;
  expect(stale).toBe(0);
  expect(staleWithoutCare, 'the trap was there').toBeGreaterThan(10);

  await a.remove(24);
  expect(await b.read(24)).toBeNull();
  await store.adopt(
    subs,
    Array.from({ length: CUSTOMERS }, (_, i) => String(i + 1)),
  );
  await waitFor(async () => (await store.backlog(subs)).pending === 0, { timeoutMs: 30_000, what: 'the drain' });
  const list = operator.db(DATABASE).collection('subscriptions');
  for (let id = 1; id < CUSTOMERS; id++)
    expect((await list.find({ customerId: Long.fromNumber(id) }).toArray()).map(({ amount }) => amount)).toEqual([
      writes.get(id),
    ]);
  const signal = new AbortController().signal;
  const proof = await store.verify(subs, { byValue: true, signal });
  expect(proof).toMatchObject({ missing: 0, extra: 0, different: 0 });

  await change({ phase: 'reads', reads: 10_000 });
  await waitFor(() => a.godwit.status().remodels[0]?.control?.reads === 10_000, { timeoutMs: 5_000, what: 'reads' });
  await expect(a.read(1)).rejects.toThrow('reads have not moved');
  await Promise.all([a.godwit.close(), b.godwit.close(), store.close()]);
});
