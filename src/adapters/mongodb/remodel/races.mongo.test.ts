import { type ClientSession, Long } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import type { Row } from '../../../kernel/remodel/index.ts';
import { customersModel, Shop } from './customers.test-support.ts';

let rs: ReplicaSet;
let shops = 0;
const open = async () => {
  const shop = await Shop.open(await rs.client(), `races${++shops}`, customersModel());
  await shop.ramp(10_000);
  return shop;
};
const SNAPSHOT = { readConcern: { level: 'snapshot' }, writeConcern: { w: 'majority' } } as const;

beforeAll(async () => {
  rs = await startReplicaSet();
});
afterAll(() => rs?.stop());

/** A transaction whose snapshot is taken now. */
async function begin(shop: Shop): Promise<ClientSession> {
  const session = shop.client.startSession();
  session.startTransaction(SNAPSHOT);
  await shop.collection('subscriptions').findOne({}, { session });
  return session;
}

test('an owner read before an adoption is never acted on after it', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.ramp(0);
  await shop.customer(1, 'a');
  const session = await begin(shop);
  expect(await store.adopt(model, ['1'])).toEqual({ adopted: 1, quarantined: 0 });
  // Its snapshot still has the old model as the owner: entering must fail, and be repeated by withTransaction.
  const error = await store.enter(model, session, '1').catch((thrown: unknown) => thrown);
  expect((error as { hasErrorLabel(label: string): boolean }).hasErrorLabel('TransientTransactionError')).toBe(true);
  await session.endSession();
});

test('whoever enters first makes adopt, relay and release wait for him or begin again', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.ramp(0);
  await shop.customer(1, 'a');
  const session = await begin(shop);
  const entered = await store.enter(model, session, '1');
  expect(entered.owner).toBe('old');
  const adoption = store.adopt(model, ['1']);
  await entered.putOld({ ...((await entered.readOld()) as Row), email: 'b' });
  await session.commitTransaction();
  expect(await adoption).toEqual({ adopted: 1, quarantined: 0 });
  const state = await shop.write('1', (again) => again.readNew());
  expect(state?.['customer']).toEqual([{ customerId: 1n, email: 'b' }]);
  await session.endSession();
});

test('lazy copy, backfill and release on the same identities: one child each, nothing lost', async () => {
  const shop = await open();
  const { store, model } = shop;
  const ids = Array.from({ length: 20 }, (_, index) => String(index + 1));
  for (const id of ids) await shop.customer(Number(id), `${id}@x`, 'gold');
  const last = new Map<string, string>();
  const writer = async (lane: number) => {
    for (let n = 0; n < 20; n += 1) {
      // Each identity has one writer, so that its last write is known.
      const id = ids[(n * 4 + lane) % ids.length] as string;
      await shop.setEmail(id, `${lane} ${n}`);
      last.set(id, `${lane} ${n}`);
    }
  };
  const until = new AbortController();
  const others = [
    async () => void (await store.adopt(model, ids)),
    async () => void (await store.relay(model, 10, [...ids].reverse())),
    async () => void (await store.relay(model, 10)),
    async () => void (await store.release(model, 3)),
  ].map(async (work) => {
    while (!until.signal.aborted) await work();
  });
  await Promise.all([0, 1, 2, 3].map(writer));
  until.abort();
  await Promise.all(others);
  await store.adopt(model, ids);
  await shop.relayAll();
  expect(await shop.verify()).toMatchObject({ identities: 20, pending: 0, missing: 0, extra: 0, different: 0 });
  expect(await shop.collection('subscriptions').countDocuments()).toBe(20);
  for (const [id, email] of last) expect((await shop.old(Number(id)))?.['email']).toBe(email);
});

test('read your writes: until the relay has been, a read of the old model is answered from the new one', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.customer(1, 'first', 'gold');
  const until = new AbortController();
  const relay = (async () => {
    while (!until.signal.aborted) await store.relay(model, 10);
  })();
  for (let n = 0; n < 60; n += 1) {
    await shop.setEmail('1', `${n}`);
    const pending = await store.pendingState(model, undefined, '1');
    const seen = pending === undefined ? (await shop.old(1))?.['email'] : model.down(pending)['email'];
    expect(seen).toBe(`${n}`);
  }
  until.abort();
  await relay;
});

test('a transaction that fails leaves nothing, and one without a transaction is refused', async () => {
  const shop = await open();
  await shop.customer(1, 'a', 'gold');
  const failed = shop.write('1', async (entered) => {
    await entered.patchNew('customer', undefined, { email: 'b' });
    throw new Error('the application failed');
  });
  await expect(failed).rejects.toThrow('the application failed');
  expect(await shop.store.backlog(shop.model)).toMatchObject({ pending: 0, owned: 0 });
  await shop.client.withSession(async (session) => {
    await expect(shop.store.enter(shop.model, session, '1')).rejects.toMatchObject({ code: 'GW5008' });
  });
});

test('what a unique index refuses is set aside, and the others go on', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop
    .collection('customers_v2')
    .createIndex({ email: 1 }, { unique: true, collation: { locale: 'en', strength: 2 } });
  for (const [id, email] of [
    [1, 'a@x'],
    [2, 'A@X'],
    [3, 'b@x'],
  ] as const)
    await shop.customer(id, email, 'gold');
  expect(await store.adopt(model, ['1', '2', '3'])).toEqual({ adopted: 2, quarantined: 1 });
  expect(await store.backlog(model)).toMatchObject({ quarantined: 1, owned: 2 });
  expect(await shop.collection('subscriptions').countDocuments()).toBe(2);
});

test('transactions begun before a change of control are seen until they end', async () => {
  const shop = await open();
  const { store, model } = shop;
  expect(await store.hasOlderTransactions(model)).toBe(false);
  const session = await begin(shop);
  const control = await store.control(model);
  await store.change(model, control?.epoch ?? 0, { ramp: 5_000 }, 'ramp', {});
  expect(await store.hasOlderTransactions(model)).toBe(true);
  const younger = await begin(shop);
  await session.abortTransaction();
  expect(await store.hasOlderTransactions(model)).toBe(false);
  for (const each of [session, younger]) await each.endSession();
});

test('the relay keeps the order whatever it is told, and applies each change once', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.customer(1, '0');
  await shop.setEmail('1', '1');
  await shop.setEmail('1', '2');
  const told = [['1'], ['1', '1'], ['1'], ['2']];
  const passes = await Promise.all(told.map((only) => store.relay(model, 10, only)));
  expect(passes.reduce((sum, { applied }) => sum + applied, 0)).toBe(1);
  expect((await shop.old(1))?.['email']).toBe('2');
  expect(await shop.collection('customers').countDocuments({ _id: Long.fromNumber(1) })).toBe(1);
});

test.each([
  ['the library', (shop: Shop) => shop.setEmail('1', 'second')],
  [
    'somebody else',
    (shop: Shop) => shop.collection('customers').updateOne({ _id: Long.fromNumber(1) }, { $set: { email: 'second' } }),
  ],
])(
  'a write that enters and adopts nothing leaves nothing that could be mistaken, when %s writes next',
  async (_, next) => {
    const shop = await open();
    const { store, model } = shop;
    await shop.customer(1, 'first');
    // Enters to adopt, and changes its mind: something waits, of an identity that the old model owns.
    await shop.client.withSession((session) =>
      session.withTransaction(async () => expect((await store.enter(model, session, '1')).owner).toBe('adopt')),
    );
    await shop.ramp(0);
    await next(shop);
    await shop.ramp(10_000);
    await store.adopt(model, ['1']);
    await shop.setEmail('1', 'third');
    await shop.relayAll();
    expect((await shop.old(1))?.['email']).toBe('third');
  },
);
