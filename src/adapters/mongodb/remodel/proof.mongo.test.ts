import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { Double, Int32, Long } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import { customersModel, Shop } from './customers.test-support.ts';
import { verifyAll } from './verify.ts';

let rs: ReplicaSet;
let shops = 0;
const open = async () => Shop.open(await rs.client(), `proof${++shops}`, customersModel());
const key = (id: number) => ({ _id: Long.fromNumber(id) });

beforeAll(async () => {
  rs = await startReplicaSet();
});
afterAll(() => rs?.stop());

test('every injected fault is found and named, and nothing else', async () => {
  const shop = await open();
  const { store, model } = shop;
  await shop.ramp(10_000);
  const ids = Array.from({ length: 40 }, (_, index) => index + 1);
  for (const id of ids) await shop.customer(id, `${id}@x`, id % 2 === 0 ? 'gold' : undefined);
  await store.adopt(model, ids.map(String));
  await shop.write('40', (entered) => entered.deleteNew());
  await shop.relayAll();
  const clean = await shop.verify();
  expect(clean).toMatchObject({ identities: 39, pending: 0, missing: 0, extra: 0, different: 0, examples: [] });
  expect(clean.snapshot).toMatch(/^\d+\.\d+$/);

  const [old, root, list] = ['customers', 'customers_v2', 'subscriptions'].map((name) => shop.collection(name));
  await old?.updateOne(key(1), { $set: { email: 'wrong' } });
  await root?.deleteOne(key(3));
  await old?.deleteOne(key(5));
  await list?.updateOne({ customerId: Long.fromNumber(2) }, { $set: { plan: 'stale' } });
  await list?.deleteOne({ customerId: Long.fromNumber(4) });
  await old?.updateOne(key(6), { $set: { 'subscription.amount': new Double(5) } });
  await shop.customer(40, 'back again');
  await list?.updateOne({ customerId: Long.fromNumber(8) }, { $set: { amount: Long.fromNumber(5) } });
  await shop.customer(41, 'new');
  await old?.insertOne({ _id: 'not a number', email: 'x' });
  const found = await shop.verify();
  expect(found).toMatchObject({ missing: 3, extra: 2, different: 5 });
  expect(found.examples.map(({ identity, kind, columns }) => [identity, kind, ...columns])).toEqual([
    ['1', 'different', 'email'],
    ['2', 'different', 'plan'],
    ['3', 'missing'],
    ['4', 'different', 'plan', 'amount'],
    ['5', 'extra'],
    ['6', 'different', 'amount'],
    ['8', 'different'],
    ['40', 'resurrected'],
    ['41', 'missing'],
    ['"not a number"', 'missing'],
  ]);
  expect(await shop.verify(false)).toMatchObject({ missing: 3, extra: 2, different: 0 });
});

test('no false alarm under live writes, in one snapshot or in many', async () => {
  const shop = await open();
  const { store, model } = shop;
  const ids = Array.from({ length: 3_000 }, (_, index) => index + 1);
  await shop
    .collection('customers')
    .insertMany(
      ids.map((id) => ({ ...key(id), email: `${id}`, subscription: { plan: 'gold', amount: new Int32(id) } })),
    );
  await shop.ramp(10_000);
  await store.adopt(model, ids.map(String));
  const until = new AbortController();
  const writer = async (lane: number) => {
    for (let n = 0; !until.signal.aborted; n += 1)
      await shop.setEmail(String(1 + ((n * 37 + lane * 911) % ids.length)), `${lane} ${n}`);
  };
  const relay = async () => {
    while (!until.signal.aborted) await store.relay(model, 50);
  };
  const work = [writer(1), writer(2), writer(3), relay()];
  try {
    let pending = 0;
    for (let round = 0; round < 10; round += 1) {
      const room = { client: shop.client, db: shop.client.db(shop.database) };
      const snapshotMs = round % 2 === 0 ? 0 : 180_000;
      const proof = await verifyAll(room, model, { byValue: true, signal: new AbortController().signal, snapshotMs });
      expect(proof).toMatchObject({ identities: ids.length, missing: 0, extra: 0, different: 0 });
      if (snapshotMs === 0) expect(proof.snapshot.split(', ').length).toBeGreaterThan(2);
      pending += proof.pending;
    }
    expect(pending).toBeGreaterThan(0);
  } finally {
    until.abort();
    await Promise.all(work);
  }
  await shop.relayAll();
  expect(await shop.verify()).toMatchObject({ pending: 0, different: 0 });
});

test('what is missing, a snapshot in files, and the archive', async () => {
  const shop = await open();
  const { store, model } = shop;
  const signal = new AbortController().signal;
  await shop.ramp(10_000);
  for (let id = 1; id <= 7; id += 1) await shop.customer(id, `"${id}",\n`, id === 1 ? undefined : 'gold');
  expect((await store.admin.sample(model, 100)).map(({ customerId }) => customerId).sort()).toHaveLength(7);
  await store.adopt(model, ['1', '2', '3']);
  await shop.write('3', (entered) => entered.deleteNew());
  await shop.setEmail('2', 'waits');
  await shop.collection('customers').updateOne(key(7), { $set: { email: 7 } });
  await store.adopt(model, ['7']);
  // Documents of a list without a root: of nobody, and of somebody whom the old model owns.
  for (const id of [4, 9])
    await shop
      .collection('subscriptions')
      .insertOne({ _id: `lost ${id}`, customerId: Long.fromNumber(id), plan: 'lost' });
  const missing: (readonly string[])[] = [];
  for await (const batch of store.admin.missing(model, 2, signal)) missing.push(batch);
  expect(missing).toEqual([['4', '5'], ['6']]);

  const folder = await mkdtemp(join(tmpdir(), 'godwit-export-'));
  try {
    const files = await store.admin.exportSnapshot(model, folder, { byValue: true, signal });
    const read = (file: string) => readFile(file, 'utf8');
    expect(files.columns).toEqual(['customerId', 'email', 'plan', 'amount', 'rest']);
    const lost = `"9"${',"\u0001unreadable new"'.repeat(5)}\n`;
    expect(await read(files.newFile)).toBe(
      `k,c0,c1,c2,c3,c4\n"1","1","""1"",\n",,,\n"2","2","waits","gold","5",\n${lost}`,
    );
    const old = await read(files.oldFile);
    expect(old).toContain('"1","1","""1"",\n",,,\n"2","2","""2"",\n","gold","5",\n');
    expect(old).toContain('"7","7","\u0001unreadable","gold","5",\n');
    expect(await read(files.pendingFile)).toBe('k\n"2"\n"3"\n"7"\n');
    expect(await read(files.tombstoneFile)).toBe('k\n"3"\n');
    expect(await store.admin.archive(model, join(folder, 'archive.csv'), signal)).toBe(7);
    const [, first] = (await read(join(folder, 'archive.csv'))).split('\n"');
    expect(first).toContain('{""_id"":{""$numberLong"":""1""},""email"":');
  } finally {
    await rm(folder, { recursive: true });
  }
  await shop.collection('customers').updateOne(key(7), { $set: { email: '7' } });
  expect(await store.admin.retryQuarantine(model)).toBe(1);
  expect(await store.adopt(model, ['7'])).toEqual({ adopted: 1, quarantined: 0 });
  expect(await store.admin.lockWaits(model)).toBe(0);
  await store.admin.note(model, 'noted', { x: 1 });
  expect((await store.audit(model, 1))[0]).toMatchObject({ event: 'noted', data: { x: 1 } });
});
