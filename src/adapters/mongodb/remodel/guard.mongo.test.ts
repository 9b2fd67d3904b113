import { Long } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import { customersModel, Shop } from './customers.test-support.ts';

let rs: ReplicaSet;
let shops = 0;
const opened: Shop[] = [];
const open = async () => {
  const shop = await Shop.open(await rs.client(), `guard${++shops}`, customersModel());
  opened.push(shop);
  await shop.ramp(10_000);
  return shop;
};
const past = (shop: Shop, id: number, update: object) =>
  shop.collection('customers').updateOne({ _id: Long.fromNumber(id) }, update);
const state = (shop: Shop, id: string) => shop.write(id, (entered) => entered.readNew());

beforeAll(async () => {
  rs = await startReplicaSet({ testCommands: true });
});
afterAll(async () => {
  for (const { store } of opened) await store.close();
  await rs?.stop();
});

test('writes of the library are told from all others, exactly', async () => {
  const shop = await open();
  const { store, model } = shop;
  for (const id of [1, 2, 3, 4]) await shop.customer(id, `${id}@x`, 'gold');
  await store.settleDirty(model, 100); // those four were written past the library
  await store.adopt(model, ['1', '2', '3']);
  await shop.setEmail('1', 'ours');
  await shop.relayAll();
  await shop.ramp(0);
  await shop.setEmail('4', 'ours, and the old model has it');
  expect((await store.backlog(model)).dirty).toBe(0);
  expect(await store.guardWorks(model)).toBe(true);
  expect((await store.backlog(model)).dirty).toBe(0);

  await past(shop, 2, { $set: { email: 'past' } });
  // In a transaction of the library for another identity, too.
  await shop.write('1', async (entered, session) => {
    await entered.patchNew('customer', undefined, { email: 'again' });
    await shop.collection('customers').updateOne({ _id: Long.fromNumber(3) }, { $set: { email: 'past' } }, { session });
  });
  expect(await store.guardWorks(model)).toBe(true);
  expect((await store.backlog(model)).dirty).toBe(2);
  expect(await store.settleDirty(model, 100)).toBe(2);
  expect((await state(shop, '2'))?.['customer']).toEqual([{ customerId: 2n, email: 'past' }]);
  expect((await state(shop, '3'))?.['customer']).toEqual([{ customerId: 3n, email: 'past' }]);
  await shop.relayAll();
  expect(await store.settleDirty(model, 100)).toBe(0);
  await store.adopt(model, ['4']);
  expect(await shop.verify()).toMatchObject({ missing: 0, extra: 0, different: 0 });
});

test('a write past the library is kept although the relay comes before the guard', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.customer(1, 'a', 'gold');
  await shop.setEmail('1', 'ours'); // waits for the relay
  await past(shop, 1, { $set: { 'subscription.plan': 'past' } });
  await shop.relayAll();
  expect(await shop.old(1)).toMatchObject({ email: 'ours', subscription: { plan: 'past' } });
  expect((await state(shop, '1'))?.['subscription']).toMatchObject([{ plan: 'past' }]);
  await store.settleDirty(model, 100);
  await shop.relayAll();
  expect(await shop.verify()).toMatchObject({ missing: 0, extra: 0, different: 0, pending: 0 });
});

test('deleting and making anew past the library', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.customer(1, 'a', 'gold');
  await store.adopt(model, ['1']);
  await shop.collection('customers').deleteOne({ _id: Long.fromNumber(1) });
  await store.settleDirty(model, 100);
  await shop.relayAll();
  expect(await store.backlog(model)).toMatchObject({ owned: 0, tombstones: 1, dirty: 0 });
  await shop.customer(1, 'b', 'tin');
  await store.settleDirty(model, 100);
  expect(await store.backlog(model)).toMatchObject({ owned: 1, tombstones: 0, dirty: 0 });
  expect((await state(shop, '1'))?.['subscription']).toMatchObject([{ plan: 'tin' }]);
});

test('two processes share one place in the stream, and miss no write', async () => {
  const shop = await open();
  const other = new Shop(await rs.client(), shop.database, shop.model);
  opened.push(other);
  await shop.customer(1, 'a');
  await shop.store.settleDirty(shop.model, 10);
  await shop.store.adopt(shop.model, ['1']);
  for (const [index, each] of [shop, other, shop, other].entries()) {
    await past(shop, 1, { $set: { email: `past ${index}` } });
    expect(await each.store.settleDirty(shop.model, 10)).toBe(1);
    expect((await state(shop, '1'))?.['customer']).toMatchObject([{ email: `past ${index}` }]);
    await shop.relayAll();
  }
  const works = await Promise.all([shop, other, shop].map(({ store, model }) => store.guardWorks(model)));
  expect(works).toEqual([true, true, true]);
});

test('the guard is red when its stream is gone, until a proof by value', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.customer(1, 'a');
  await store.adopt(model, ['1']);
  expect(await store.settleDirty(model, 10)).toBe(1);
  expect(await store.guardWorks(model)).toBe(true);
  await store.close();
  await past(shop, 1, { $set: { email: 'never seen' } });
  const data = { failCommands: ['aggregate'], errorCode: 286 }; // ChangeStreamHistoryLost
  await shop.client.db('admin').command({ configureFailPoint: 'failCommand', mode: { times: 1 }, data });
  expect(await store.guardWorks(model)).toBe(false);
  expect(await store.guardWorks(model)).toBe(false);
  expect(await store.settleDirty(model, 10)).toBe(0);
  expect(await shop.verify(false)).toMatchObject({ different: 0 });
  expect(await shop.verify()).toMatchObject({ different: 1 });
  expect(await store.guardWorks(model)).toBe(false);
  await past(shop, 1, { $set: { email: 'a' } });
  await shop.verify();
  expect(await store.guardWorks(model)).toBe(true);
  await store.close();
  await shop.collection('customers').drop();
  expect(await store.guardWorks(model)).toBe(false);
});

test('reject is refused, because there is no honest way', async () => {
  const shop = await open();
  const control = await shop.store.control(shop.model);
  await expect(
    shop.store.change(shop.model, control?.epoch ?? 0, { guard: 'reject' }, 'guard', {}),
  ).rejects.toMatchObject({ code: 'GW1001' });
});

test('a write past the library that cannot be understood is set aside, and looked at again when asked for', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.customer(1, 'a');
  await store.adopt(model, ['1']);
  await past(shop, 1, { $set: { email: 5 } });
  await store.settleDirty(model, 10);
  expect(await store.backlog(model)).toMatchObject({ quarantined: 1, dirty: 0 });
  await past(shop, 1, { $set: { email: 'mended' } });
  await store.guardWorks(model);
  await shop.collection('godwit_dirty').deleteMany({}); // as if it had been mended before it was looked at
  expect(await store.admin.retryQuarantine(model)).toBe(1);
  expect(await store.settleDirty(model, 10)).toBe(1);
  expect((await state(shop, '1'))?.['customer']).toMatchObject([{ email: 'mended' }]);
  expect(await store.backlog(model)).toMatchObject({ quarantined: 0, dirty: 0 });
});
