import { Long } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import type { Row } from '../../../kernel/remodel/index.ts';
import { customersModel, Shop } from './customers.test-support.ts';

let rs: ReplicaSet;
let shops = 0;
const open = async (model = customersModel()) => Shop.open(await rs.client(), `shop${++shops}`, model);

beforeAll(async () => {
  rs = await startReplicaSet();
});
afterAll(() => rs?.stop());

test('a customer with a subscription inside becomes a customer and a list, new first, old later', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.collection('customers').insertOne({
    _id: Long.fromNumber(7),
    email: 'a@b',
    subscription: { plan: 'gold', amount: 5, note: 'not of the model' },
    others: { kept: true },
  });
  await shop.write('7', async (entered) => expect(entered.owner).toBe('old'));
  await shop.ramp(10_000);
  await shop.write('7', async (entered) => {
    expect(entered.owner).toBe('adopt');
    expect(await entered.patchNew('customer', undefined, { email: 'c@d' })).toBe(true);
    const [subscription] = (await entered.readNew())?.['subscription'] ?? [];
    expect(subscription).toMatchObject({ customerId: 7n, plan: 'gold', amount: 5 });
    await entered.patchNew('subscription', subscription?.['id'] ?? null, { plan: 'tin' });
  });
  expect(await shop.old(7)).toMatchObject({ email: 'a@b', subscription: { plan: 'gold' } });
  expect((await store.pendingState(model, undefined, '7'))?.['customer']).toEqual([{ customerId: 7n, email: 'c@d' }]);
  expect(await store.backlog(model)).toMatchObject({ pending: 1, owned: 1, lossy: 0 });

  expect(await store.relay(model, 10)).toMatchObject({ applied: 1, quarantined: 0, more: false });
  expect(await shop.old(7)).toEqual({
    _id: 7,
    email: 'c@d',
    subscription: { plan: 'tin', amount: 5, note: 'not of the model' },
    others: { kept: true },
  });
  expect(await store.pendingState(model, undefined, '7')).toBeUndefined();
  expect(await store.relay(model, 10)).toMatchObject({ applied: 0 });

  await shop.write('7', async (entered) => {
    expect(entered.owner).toBe('new');
    expect(await entered.countNew('subscription')).toBe(1);
    for (const row of (await entered.readNew())?.['subscription'] ?? [])
      expect(await entered.removeNew('subscription', row['id'] ?? null)).toBe(true);
  });
  await shop.relayAll();
  expect((await shop.old(7))?.['subscription']).toEqual({ note: 'not of the model' });
});

test('an embedded document goes with its last field and comes back with its first, also in the place of null', async () => {
  const shop = await open();
  await shop.ramp(10_000);
  await shop.customer(1, 'a', 'gold');
  await shop.collection('customers').insertOne({ _id: Long.fromNumber(2), email: 'b', subscription: null });
  await shop.write('1', async (entered) => {
    const [row] = (await entered.readNew())?.['subscription'] ?? [];
    await entered.removeNew('subscription', row?.['id'] ?? null);
  });
  await shop.write('2', (entered) =>
    entered.putNew('subscription', [{ id: ID(1), customerId: 2n, plan: 'tin', amount: 1 }]),
  );
  await shop.relayAll();
  expect(await shop.old(1)).toEqual({ _id: 1, email: 'a' });
  expect(await shop.old(2)).toEqual({ _id: 2, email: 'b', subscription: { plan: 'tin', amount: 1 } });
});

test('deletes leave a tombstone, and a new write begins anew', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.ramp(10_000);
  await shop.customer(1, 'a', 'gold');
  await shop.write('1', (entered) => entered.deleteNew());
  expect(await store.pendingState(model, undefined, '1')).toEqual({ customer: [], subscription: [] });
  expect(await store.adopt(model, ['1'])).toEqual({ adopted: 0, quarantined: 0 }); // the old row is still there
  await shop.relayAll();
  expect(await shop.old(1)).toBeNull();
  expect(await store.adopt(model, ['1'])).toEqual({ adopted: 0, quarantined: 0 });
  await shop.write('1', async (entered) => {
    expect(entered.owner).toBe('deleted');
    await entered.adopt({ customer: [{ customerId: 1n, email: 'again' }], subscription: [] });
    await entered.deleteNew();
    await entered.adopt({ customer: [{ customerId: 1n, email: 'again' }], subscription: [] });
  });
  await shop.relayAll();
  expect(await shop.old(1)).toEqual({ _id: 1, email: 'again' });
  expect(await store.backlog(model)).toMatchObject({ owned: 1, tombstones: 0, pending: 0 });
});

test('backfill adopts, release gives back, and both leave the documents as they were', async () => {
  const shop = await open();
  const { store, model } = shop;
  const ids = Array.from({ length: 120 }, (_, index) => index + 1);
  for (const id of ids) await shop.customer(id, `${id}@x`, id % 3 === 0 ? undefined : `plan${id}`);
  const before = await shop.collection('customers').find().sort({ _id: 1 }).toArray();
  await shop.ramp(10_000, 'sealed');
  await shop.setEmail('5', 'changed');
  expect(await store.adopt(model, [...ids.map(String), '999'])).toEqual({ adopted: 119, quarantined: 0 });
  expect(await store.backlog(model)).toMatchObject({ owned: 120, oldRows: 120, pending: 1 });
  await shop.ramp(0);
  expect([await store.release(model, 50), await store.release(model, 100), await store.release(model, 50)]).toEqual([
    50, 70, 0,
  ]);
  const after = await shop.collection('customers').find().sort({ _id: 1 }).toArray();
  expect(after).toEqual(before.map((each) => (each._id === 5 ? { ...each, email: 'changed' } : each)));
  expect(await store.backlog(model)).toMatchObject({ owned: 0, tombstones: 0, pending: 0 });
  await shop.write('5', async (entered) => expect(entered.owner).toBe('old'));
});

test('a field of another type is an error, and its identity goes to quarantine until it is mended', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.customer(1, 'a');
  await shop.collection('customers').insertOne({ _id: Long.fromNumber(2), email: 5 });
  await shop.ramp(10_000, 'sealed');
  expect(await store.adopt(model, ['1', '2'])).toEqual({ adopted: 1, quarantined: 1 });
  expect(await store.backlog(model)).toMatchObject({ quarantined: 1 });
  expect(await store.admin.quarantine(model, 10)).toMatchObject([
    { identity: '2', reason: expect.stringContaining('customers, email: a 32-bit integer where the column is text') },
  ]);
  await shop.collection('customers').updateOne({ _id: Long.fromNumber(2) }, { $set: { email: 'b' } });
  expect(await store.adopt(model, ['1', '2'])).toEqual({ adopted: 1, quarantined: 0 });
  expect(await store.backlog(model)).toMatchObject({ quarantined: 0, owned: 2 });
});

test.each(['pick', 'block', 'overflow'] as const)('two subscriptions under the policy %s', async (policy) => {
  const shop = await open(customersModel(policy));
  const { store, model } = shop;
  await shop.ramp(10_000);
  await shop.customer(1, 'a', 'gold');
  const add = shop.write('1', (entered) =>
    entered.putNew('subscription', [{ id: ID(0xffffffffff), customerId: 1n, plan: 'tin', amount: 2 } as Row]),
  );
  await add;
  const pass = await store.relay(model, 10);
  const { lossy } = await store.backlog(model);
  expect([pass.applied, pass.quarantined, lossy]).toEqual(
    { pick: [1, 0, 1], block: [0, 1, 1], overflow: [1, 0, 0] }[policy],
  );
  if (policy === 'block') {
    expect(await store.relay(model, 10)).toMatchObject({ applied: 0, quarantined: 0, more: false });
    return;
  }
  expect((await shop.old(1))?.['subscription']).toMatchObject({ plan: 'tin', amount: 2 });
  const state = await shop.write('1', (entered) => entered.readNew());
  await shop.relayAll();
  await shop.ramp(0);
  expect(await store.release(model, 10)).toBe(1);
  await shop.ramp(10_000);
  const again = await shop.write('1', (entered) => entered.readNew());
  if (policy === 'overflow') expect(again).toEqual(state);
  else expect(again?.['subscription']).toMatchObject([{ plan: 'tin', amount: 2 }]);
});

function ID(n: number): string {
  return `ffffffff-ffff-4fff-bfff-${n.toString(16).padStart(12, '0')}`;
}
