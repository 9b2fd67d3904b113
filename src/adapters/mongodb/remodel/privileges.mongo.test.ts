import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import { Shop } from './customers.test-support.ts';

let rs: ReplicaSet;
const clients: MongoClient[] = [];

beforeAll(async () => {
  rs = await startReplicaSet({ auth: { user: 'root', password: 'pw' } });
});
afterAll(async () => {
  await Promise.all(clients.map((client) => client.close()));
  await rs?.stop();
});

async function login(user: string, roles: object[]): Promise<MongoClient> {
  const admin = (await rs.client()).db('admin');
  await admin.command({ createUser: user, pwd: 'pw', roles });
  const client = await new MongoClient(rs.uri.replace('root:pw@', `${user}:pw@`)).connect();
  clients.push(client);
  return client;
}

test('readWrite on the database is enough for all but older transactions, traps and what they need', async () => {
  const shop = await Shop.open(await login('app', [{ role: 'readWrite', db: 'shop' }]), 'shop');
  const { store, model } = shop;
  await shop.ramp(10_000);
  await shop.customer(1, 'a', 'gold');
  await shop.setEmail('1', 'b');
  await shop.relayAll();
  expect(await store.guardWorks(model)).toBe(true);
  await store.settleDirty(model, 10);
  expect(await shop.verify()).toMatchObject({ missing: 0, extra: 0, different: 0 });
  expect((await store.shape(model)).length).toBeGreaterThan(5);
  expect((await store.measure(model, 2)).samples).toBeGreaterThan(0);
  await expect(store.hasOlderTransactions(model)).rejects.toMatchObject({ code: 'GW2004' });
  await expect(store.trap(model, 'record')).rejects.toMatchObject({ code: 'GW2004' });
  expect(await store.release(model, 10)).toBe(1);
  await store.close();
});

test('with the parameter alone, older transactions are waited out; with inprog they are seen', async () => {
  const shop = await Shop.open(await login('ops', [{ role: 'readWrite', db: 'shop2' }]), 'shop2');
  const admin = (await rs.client()).db('admin');
  const privileges = [{ resource: { cluster: true }, actions: ['getParameter'] }];
  await admin.command({ createRole: 'parameter', privileges, roles: [] });
  await admin.command({ grantRolesToUser: 'ops', roles: ['parameter'] });
  expect(await shop.store.hasOlderTransactions(shop.model)).toBe(true);
  // The first look after the change was two hours ago.
  const twoHoursAgo = [{ $set: { 'known.at': { $subtract: ['$$NOW', 7_200_000] } } }];
  await shop.collection('godwit_remodel').updateOne({}, twoHoursAgo);
  expect(await shop.store.hasOlderTransactions(shop.model)).toBe(false);
  await admin.command({ grantRolesToUser: 'ops', roles: ['clusterMonitor'] });
  expect(await shop.store.hasOlderTransactions(shop.model)).toBe(false);
});
