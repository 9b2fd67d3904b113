/** Trap 5 on MongoDB: who comes first in time commits last. */
import { afterAll, beforeAll, expect, test } from 'vitest';
import { Shop } from '../../../src/adapters/mongodb/remodel/customers.test-support.ts';
import { type ReplicaSet, startReplicaSet } from '../../servers/index.ts';

let rs: ReplicaSet;
beforeAll(async () => {
  rs = await startReplicaSet();
});
afterAll(() => rs?.stop());

test('a transaction that commits late is not skipped by the relay', async () => {
  const shop = await Shop.open(await rs.client(), 'late');
  const { store, model } = shop;
  await shop.ramp(10_000);
  for (const id of [1, 2, 3]) await shop.customer(id, 'first', 'gold');
  await shop.write('1', async (slow) => {
    await slow.patchNew('customer', undefined, { email: 'slow' });
    for (const id of ['2', '3']) await shop.setEmail(id, 'fast');
    expect(await store.relay(model, 10)).toMatchObject({ applied: 2 });
    expect(await shop.old(3)).toMatchObject({ email: 'fast' });
    expect(await shop.old(1)).toMatchObject({ email: 'first' });
  });
  expect(await store.relay(model, 10)).toMatchObject({ applied: 1 });
  expect(await shop.old(1)).toMatchObject({ email: 'slow' });
  expect(await shop.verify()).toMatchObject({ pending: 0, missing: 0, extra: 0, different: 0 });
});
