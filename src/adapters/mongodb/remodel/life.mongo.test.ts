import { Long } from 'mongodb';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import { customersModel, Shop } from './customers.test-support.ts';
import { MongoRemodelStore } from './store.ts';

let rs: ReplicaSet;
let shops = 0;
const opened: Shop[] = [];
const open = async () => {
  const shop = await Shop.open(await rs.client(), `life${++shops}`, customersModel());
  opened.push(shop);
  return shop;
};

beforeAll(async () => {
  rs = await startReplicaSet();
});
afterAll(() => rs?.stop());
afterEach(async () => {
  for (const { store } of opened.splice(0)) await store.close();
});

test('create can be repeated, refuses another definition, and drop takes away what it made', async () => {
  const shop = await open();
  const { store, model } = shop;
  await store.create(model, 'hash');
  await expect(store.create(model, 'another')).rejects.toMatchObject({ code: 'GW7008' });
  expect(await store.control(model)).toEqual({
    phase: 'created',
    epoch: 1,
    ramp: 0,
    reads: 0,
    shadow: 0,
    guard: 'capture',
    definition: 'hash',
  });
  expect((await store.plan(model)).join('\n')).toContain('db.createCollection("customers_v2")');
  await shop.collection('customers_v2').insertOne({ _id: Long.fromNumber(1) });
  await expect(store.drop(model)).rejects.toMatchObject({ code: 'GW1004' });
  await shop.collection('customers_v2').deleteOne({});
  await store.drop(model);
  expect(await store.control(model)).toBeUndefined();
  const names = (await shop.client.db(shop.database).listCollections().toArray()).map(({ name }) => name);
  expect(names).toContain('customers');
  expect(names).not.toContain('customers_v2');
});

test('collections on which keys would not mean the same are refused', async () => {
  const shop = await open();
  const db = shop.client.db(shop.database);
  await shop.store.drop(shop.model);
  await db.createCollection('customers_v2', { collation: { locale: 'en', strength: 2 } });
  await expect(shop.store.create(shop.model, 'hash')).rejects.toMatchObject({ code: 'GW1006' });
  await db.dropCollection('customers_v2');
  await db.dropCollection('customers');
  await expect(shop.store.create(shop.model, 'hash')).rejects.toMatchObject({ code: 'GW1006' });
});

test('control changes by compare-and-set, with its audit row', async () => {
  const shop = await open();
  const { store, model } = shop;
  const changes = await Promise.allSettled(
    [1, 2, 3].map((ramp) => store.change(model, 1, { ramp, phase: 'dual' }, 'ramp', { ramp })),
  );
  const won = changes.filter(({ status }) => status === 'fulfilled');
  expect(won).toHaveLength(1);
  for (const change of changes)
    if (change.status === 'rejected') expect(change.reason).toMatchObject({ code: 'GW7007' });
  const audit = await store.audit(model, 10);
  expect(audit.map(({ event, epoch }) => [event, epoch])).toEqual([
    ['ramp', 2],
    ['created', 1],
  ]);
  expect(audit[0]?.data).toEqual({ ramp: (await store.control(model))?.ramp });
  await store.recordShadow(model, { same: 1, pending: 0, confirmed: 0, failed: 2 });
  await store.recordShadow(model, { same: 1, pending: 0, confirmed: 0, failed: 0 });
  expect(await store.shadowCount(model)).toEqual({ same: 2, pending: 0, confirmed: 0, failed: 2 });
  await store.change(model, 2, { shadow: 1 }, 'shadow', {});
  expect(await store.shadowCount(model)).toEqual({ same: 0, pending: 0, confirmed: 0, failed: 0 });
});

test('leases tell who is alive by the clock of the server', async () => {
  const { store, model } = await open();
  await store.lease(model, { process: 'p1', host: 'h', role: 'application', epoch: 1, definition: 'hash' });
  const [lease] = await store.leases(model);
  expect(lease).toMatchObject({ process: 'p1', host: 'h', role: 'application', epoch: 1, definition: 'hash' });
  expect(lease?.ageMs).toBeGreaterThanOrEqual(0);
  expect(lease?.ageMs).toBeLessThan(30_000);
});

test('the shape tells indexes, validators and options', async () => {
  const shop = await open();
  const { store, model } = shop;
  const before = await store.shape(model);
  expect(await store.shape(model)).toEqual(before);
  await shop.collection('subscriptions').createIndex({ plan: 1 });
  await shop.client.db(shop.database).command({ collMod: 'customers', validator: { email: { $type: 'string' } } });
  const after = await store.shape(model);
  expect(after.filter((line) => !before.includes(line))).toEqual([
    expect.stringMatching(/^customers: option validator .*string/),
    'customers: option validationLevel "strict"',
    'customers: option validationAction "error"',
    expect.stringMatching(/^subscriptions: index .*"plan":1/),
  ]);
});

test('measuring leaves nothing behind', async () => {
  const shop = await open();
  const { store, model } = shop;
  for (let id = 1; id <= 10; id += 1) await shop.customer(id, `${id}`, 'gold');
  await shop.ramp(10_000);
  await store.adopt(model, ['1', '2', '3']);
  const everything = async () =>
    JSON.stringify(
      await Promise.all(
        ['customers', 'customers_v2', 'subscriptions'].map((name) =>
          shop.collection(name).find().sort({ _id: 1 }).toArray(),
        ),
      ),
    );
  const before = await everything();
  const impact = await store.measure(model, 10);
  expect(impact.samples).toBeGreaterThan(0);
  expect(impact.plainP50Ms).toBeGreaterThan(0);
  expect(impact.dualP99Ms).toBeGreaterThanOrEqual(impact.dualP50Ms);
  expect(await everything()).toBe(before);
  expect(await store.backlog(model)).toMatchObject({ pending: 0, owned: 3 });
});

test('the old collection is trapped, given back, trapped again and retired', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.customer(1, 'a', 'gold');
  await shop.ramp(10_000, 'sealed');
  await store.adopt(model, ['1']);
  await shop.ramp(10_000, 'new-only');
  await store.trap(model, 'record');
  await shop.old(1);
  expect(await store.trapHits(model)).toMatchObject([{ query: 'find' }]);
  await store.trap(model, 'refuse');
  await expect(shop.old(1)).rejects.toThrow('the collection customers was retired by the remodel');
  expect((await store.trapHits(model)).length).toBeGreaterThan(1);
  await shop.setEmail('1', 'new only');
  await shop.write('2', async (entered) => {
    expect(entered.owner).toBe('adopt');
    expect(await entered.readOld()).toBeUndefined();
    await entered.adopt({ customer: [{ customerId: 2n, email: 'b' }], subscription: [] });
  });
  expect(await store.relay(model, 10)).toMatchObject({ applied: 0 });
  expect(await shop.verify()).toMatchObject({ pending: 2, missing: 0, extra: 0, different: 0 });
  await store.untrap(model);
  expect(await store.guardWorks(model)).toBe(true);
  expect((await shop.old(1))?.['email']).toBe('a');
  await shop.ramp(10_000, 'reads');
  await shop.relayAll();
  expect((await shop.old(1))?.['email']).toBe('new only');
  await shop.ramp(10_000, 'new-only');
  await store.trap(model, 'refuse');
  await store.trap(model, 'refuse');
  await store.retire(model);
  await store.retire(model);
  const control = await store.control(model);
  await store.change(model, control?.epoch ?? 0, { phase: 'retired' }, 'retired', {});
  const names = (await shop.client.db(shop.database).listCollections().toArray()).map(({ name }) => name);
  expect(names).not.toContain('customers');
  expect(names).not.toContain('godwit_retired_customers');
  await shop.setEmail('1', 'after the end');
  expect(await store.backlog(model)).toMatchObject({ pending: 0, owned: 2, oldRows: 0 });
});

test('record is refused while the profiler is somebody else’s', async () => {
  const shop = await open();
  const db = shop.client.db(shop.database);
  await db.command({ profile: 1, slowms: 50 });
  await expect(shop.store.trap(shop.model, 'record')).rejects.toMatchObject({ code: 'GW1004' });
  await shop.store.untrap(shop.model);
  expect(await db.command({ profile: 0 })).toMatchObject({ was: 1, slowms: 50 });
});

test('connects to the database that the connection string names, and to no other', async () => {
  const shop = await open();
  await expect(MongoRemodelStore.connect(rs.uri)).rejects.toMatchObject({ code: 'GW1001' });
  const store = await MongoRemodelStore.connect(rs.uri.replace('/?', `/${shop.database}?`));
  expect(await store.control(shop.model)).toMatchObject({ phase: 'created' });
  await store.close();
});
