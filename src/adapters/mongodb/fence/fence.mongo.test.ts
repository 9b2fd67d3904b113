import { execFile } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { type Document, MongoClient } from 'mongodb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import { Cluster } from '../cluster.ts';
import { makeSelection } from '../namespaces.ts';
import { availableFences, openFence } from './fence.ts';
import { readWriters } from './writers.ts';

const FIXTURE = fileURLToPath(new URL('./roles-fence.fixture.ts', import.meta.url));
const never = new AbortController().signal;
const SHOP = makeSelection(['shop'], [], []);
const ORDERS = makeSelection(['shop.orders'], [], []);

let rs: ReplicaSet;
let root: MongoClient;
let cluster: Cluster;
const clients: MongoClient[] = [];

beforeAll(async () => {
  rs = await startReplicaSet({ auth: { user: 'root', password: 'pw' } });
  root = await rs.client();
  cluster = await Cluster.connect('source', rs.uri);
});
afterAll(async () => {
  await cluster?.close();
  await rs?.stop();
});

beforeEach(async () => {
  for (const db of ['shop', 'bank']) {
    for (const name of ['orders', 'carts']) await root.db(db).collection(name).insertOne({ n: 0 });
  }
});
afterEach(async () => {
  await Promise.all(clients.splice(0).map((client) => client.close()));
  for (const db of ['shop', 'bank', 'admin', '$external']) {
    const { users } = await root.db(db).command({ usersInfo: 1 });
    for (const { user } of users) if (user !== 'root') await root.db(db).command({ dropUser: user });
    if (db !== '$external') await root.db(db).command({ dropAllRolesFromDatabase: 1 });
  }
  await root.db('shop').dropDatabase();
  await root.db('bank').dropDatabase();
});

function memoryOf(values = new Map<string, string>()) {
  return {
    values,
    get: <T>(key: string): T | undefined => (values.has(key) ? (JSON.parse(values.get(key)!) as T) : undefined),
    set: (key: string, value: unknown) => void values.set(key, JSON.stringify(value)),
  };
}

async function login(user: string, db: string): Promise<MongoClient> {
  const uri = rs.uri.replace('root:pw@', `${user}:pw@`).replace('authSource=admin', `authSource=${db}`);
  const client = await new MongoClient(uri, { maxPoolSize: 4 }).connect();
  clients.push(client);
  return client;
}

async function makeUser(user: string, db: string, roles: Document[]): Promise<MongoClient> {
  await root.db(db).command({ createUser: user, pwd: 'pw', roles, customData: { of: user } });
  return login(user, db);
}

const insert = (client: MongoClient, db: string, collection: string) =>
  client.db(db).collection(collection).insertOne({ n: 1 });
const refused = (work: Promise<unknown>) => expect(work).rejects.toMatchObject({ code: 13 });
/** All there is of the users. The server keeps the roles of a user as a set, in no order of ours. */
const usersNow = async () => {
  const { users } = await root.db('admin').command({ usersInfo: { forAllDBs: true }, showCredentials: true });
  for (const user of users)
    user.roles.sort((a: Document, b: Document) => `${a['db']}.${a['role']}`.localeCompare(`${b['db']}.${b['role']}`));
  return JSON.stringify(users);
};
const rolesNow = async () =>
  JSON.stringify(await root.db('admin').collection('system.roles').find().sort({ _id: 1 }).toArray());

test('open connections are fenced in the middle; neighbours and readers go on; all is given back', async () => {
  const app = await makeUser('app', 'shop', [
    { role: 'readWrite', db: 'shop' },
    { role: 'read', db: 'bank' },
  ]);
  const owner = await makeUser('owner', 'admin', [
    { role: 'dbOwner', db: 'shop' },
    { role: 'clusterMonitor', db: 'admin' },
  ]);
  const neighbour = await makeUser('neighbour', 'bank', [{ role: 'readWrite', db: 'bank' }]);
  await root.db('$external').command({ createUser: 'CN=svc', roles: [{ role: 'readWrite', db: 'shop' }] });
  const users = await usersNow();
  const roles = await rolesNow();
  let neighbourWrites = 0;
  let going = true;
  const neighbourLoop = (async () => {
    for (; going; neighbourWrites += 1) await insert(neighbour, 'bank', 'orders');
  })();
  let refusedAt = 0;
  let last = 0;
  const appLoop = (async () => {
    for (;;) {
      await insert(app, 'shop', 'orders');
      last = Date.now();
    }
  })().catch((error: { code: number }) => {
    refusedAt = Date.now();
    return error.code;
  });
  await new Promise((resolve) => setTimeout(resolve, 100));

  const memory = memoryOf();
  const fence = openFence('roles', { cluster, selection: SHOP, memory, runName: 'r1' });
  await fence.raise(never);
  const raisedAt = Date.now();
  expect(await appLoop).toBe(13);
  expect(last).toBeLessThanOrEqual(raisedAt);
  expect(refusedAt).toBeGreaterThan(0);
  await refused(insert(owner, 'shop', 'carts'));
  await refused(owner.db('shop').dropDatabase());
  await refused(owner.db('shop').collection('orders').createIndex({ n: 1 }));
  expect(await app.db('shop').collection('orders').countDocuments()).toBeGreaterThan(0);
  expect(await app.db('bank').collection('orders').findOne()).toBeTruthy();
  await owner.db('admin').command({ serverStatus: 1 });
  const external = (await root.db('$external').command({ usersInfo: 'CN=svc' })).users[0];
  expect(external.roles).toEqual([{ role: 'read', db: 'shop' }]);
  const before = neighbourWrites;
  await expect.poll(() => neighbourWrites).toBeGreaterThan(before);
  await fence.raise(never);

  // From a fresh object, as another process would.
  const later = openFence('roles', { cluster, selection: SHOP, memory: memoryOf(memory.values), runName: 'r1' });
  await later.lower(never);
  await later.lower(never);
  going = false;
  await neighbourLoop;
  expect(await usersNow()).toBe(users);
  expect(await rolesNow()).toBe(roles);
  await insert(app, 'shop', 'orders');
  await insert(owner, 'shop', 'carts');
});

test('of one database, a collection can be fenced alone, through roles of their own making too', async () => {
  await root.db('shop').command({
    createRole: 'base',
    privileges: [{ resource: { db: 'shop', collection: 'orders' }, actions: ['insert', 'find'] }],
    roles: [],
  });
  await root.db('shop').command({
    createRole: 'clerk',
    privileges: [{ resource: { db: 'shop', collection: 'carts' }, actions: ['insert'] }],
    roles: ['base'],
  });
  const app = await makeUser('app', 'shop', [
    { role: 'readWrite', db: 'shop' },
    { role: 'readWrite', db: 'bank' },
  ]);
  const clerk = await makeUser('clerk', 'shop', [{ role: 'clerk', db: 'shop' }]);
  const carts = await makeUser('carts', 'shop', [{ role: 'readWrite', db: 'bank' }]);
  const users = await usersNow();
  const roles = await rolesNow();

  const fence = openFence('roles', { cluster, selection: ORDERS, memory: memoryOf(), runName: 'r1' });
  await fence.raise(never);
  for (const client of [app, clerk]) {
    await refused(insert(client, 'shop', 'orders'));
    await insert(client, 'shop', 'carts');
    await client.db('shop').collection('orders').findOne();
  }
  await insert(app, 'bank', 'orders');
  await insert(carts, 'bank', 'orders');
  await refused(app.db('shop').collection('orders').rename('away'));
  await refused(app.db('shop').collection('orders').drop());
  await refused(
    app
      .db('shop')
      .collection('carts')
      .aggregate([{ $merge: 'orders' }])
      .toArray(),
  );
  await app.db('shop').collection('carts').createIndex({ n: 1 });
  expect(
    JSON.parse(await rolesNow()).filter(({ role }: { role: string }) => role.startsWith('godwit-fence-r1-')),
  ).toHaveLength(2);
  await fence.lower(never);
  expect(await usersNow()).toBe(users);
  expect(await rolesNow()).toBe(roles);
  await insert(clerk, 'shop', 'orders');
});

test('an ordinary administrator of users can raise and lower it', async () => {
  const app = await makeUser('app', 'shop', [{ role: 'dbOwner', db: 'shop' }]);
  const roles = ['userAdminAnyDatabase', 'clusterMonitor', 'readAnyDatabase'];
  await root.db('admin').command({ createUser: 'mover', pwd: 'pw', roles });
  const users = await usersNow();
  const mover = await Cluster.connect('source', rs.uri.replace('root:pw@', 'mover:pw@'));
  try {
    const fence = openFence('roles', { cluster: mover, selection: ORDERS, memory: memoryOf(), runName: 'r1' });
    await fence.raise(never);
    await refused(insert(app, 'shop', 'orders'));
    await insert(app, 'shop', 'carts');
    await fence.lower(never);
    expect(await usersNow()).toBe(users);
    await insert(app, 'shop', 'orders');
  } finally {
    await mover.close();
  }
});

test('killed between two users, the next process gives all back', async () => {
  for (const name of ['a', 'b', 'c'])
    await makeUser(name, 'shop', [{ role: name === 'b' ? 'dbOwner' : 'readWrite', db: 'shop' }]);
  const users = await usersNow();
  const roles = await rolesNow();
  const dir = mkdtempSync(join(tmpdir(), 'godwit-fence-'));
  try {
    for (const fatal of [1, 2, 3]) {
      const memoryFile = join(dir, `memory-${fatal}.json`);
      writeFileSync(memoryFile, '{}');
      const signal = await new Promise((resolve) => {
        execFile(process.execPath, ['--import', 'tsx', FIXTURE, rs.uri, memoryFile, String(fatal)], (error) =>
          resolve(error?.signal),
        );
      });
      expect(signal).toBe('SIGKILL');
      const values = () =>
        new Map(Object.entries(JSON.parse(readFileSync(memoryFile, 'utf8'))).map(([k, v]) => [k, JSON.stringify(v)]));
      expect(JSON.stringify((await usersNow()) !== users)).toBe(String(fatal > 1));
      const fence = openFence('roles', { cluster, selection: SHOP, memory: memoryOf(values()), runName: 'r1' });
      if (fatal === 2) {
        // Going on instead of back.
        await fence.raise(never);
        expect((await readWriters(cluster, SHOP)).held).toEqual([]);
      }
      await fence.lower(never);
      expect(await usersNow()).toBe(users);
      expect(await rolesNow()).toBe(roles);
    }
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});

test('an open transaction can still commit, so the fence waits for it, and for a long update', async () => {
  const app = await makeUser('app', 'shop', [{ role: 'readWrite', db: 'shop' }]);
  const other = await makeUser('other', 'bank', [{ role: 'readWrite', db: 'bank' }]);
  const stranger = other.startSession();
  stranger.startTransaction();
  await other.db('bank').collection('orders').insertOne({ n: 1 }, { session: stranger });
  const session = app.startSession();
  session.startTransaction();
  await app
    .db('shop')
    .collection('orders')
    .insertOne({ _id: 'late' as never }, { session });
  const fence = openFence('roles', { cluster, selection: SHOP, memory: memoryOf(), runName: 'r1' });
  let raised = false;
  const raising = fence.raise(never).then(() => {
    raised = true;
  });
  await new Promise((resolve) => setTimeout(resolve, 700));
  expect(raised).toBe(false);
  // Refused already, though the transaction is open.
  await refused(insert(app, 'shop', 'orders'));
  await session.commitTransaction();
  await raising;
  expect(
    await root
      .db('shop')
      .collection('orders')
      .findOne({ _id: 'late' as never }),
  ).toBeTruthy();
  await fence.lower(never);
  await stranger.abortTransaction();

  await root
    .db('shop')
    .collection('carts')
    .insertMany(Array.from({ length: 300 }, (_, n) => ({ n })));
  const slow = app
    .db('shop')
    .collection('carts')
    .updateMany({ $where: 'sleep(5) || true' }, { $set: { slow: 1 } });
  await new Promise((resolve) => setTimeout(resolve, 300));
  await fence.raise(never);
  const changed = await root.db('shop').collection('carts').countDocuments({ slow: 1 });
  expect((await slow).modifiedCount).toBe(changed);
  await fence.lower(never);

  const idle = app.startSession();
  idle.startTransaction();
  await app.db('shop').collection('orders').insertOne({ n: 1 }, { session: idle });
  await expect(fence.raise(AbortSignal.timeout(300))).rejects.toMatchObject({ code: 'GW8001' });
  await fence.lower(never);
  await idle.abortTransaction();
});

describe('which fences work', () => {
  test('administrators and our own user are named, not fenced', async () => {
    await makeUser('admin2', 'admin', [{ role: 'readWriteAnyDatabase', db: 'admin' }]);
    expect((await availableFences({ cluster, selection: SHOP }))[0]).toMatchObject({
      kind: 'roles',
      ok: false,
      reason: /root@admin \(the user of Godwit/,
    });
    await expect(
      openFence('roles', { cluster, selection: SHOP, memory: memoryOf(), runName: 'r' }).raise(never),
    ).rejects.toMatchObject({ code: 'GW7004' });
    await makeUser('app', 'shop', [{ role: 'readWrite', db: 'shop' }]);
    const [roles] = await availableFences({ cluster, selection: SHOP });
    expect(roles).toMatchObject({
      ok: true,
      reason: /^Holds app@shop; does not hold .*admin2@admin \(may write to any database\)/,
    });
  });

  test('a user of ours with too few privileges gets a clear answer', async () => {
    await makeUser('app', 'shop', [{ role: 'readWrite', db: 'shop' }]);
    await root.db('admin').command({ createUser: 'weak', pwd: 'pw', roles: ['readAnyDatabase'] });
    const weak = await Cluster.connect('source', rs.uri.replace('root:pw@', 'weak:pw@'));
    try {
      const choices = await availableFences({ cluster: weak, selection: SHOP }).catch((e: unknown) => e);
      expect(choices).toMatchObject([
        { kind: 'roles', ok: false, reason: /userAdminAnyDatabase/ },
        { kind: 'write-block', ok: false },
        { kind: 'none', ok: true },
      ]);
      await expect(
        openFence('roles', { cluster: weak, selection: SHOP, memory: memoryOf(), runName: 'r' }).raise(never),
      ).rejects.toMatchObject({ code: 'GW7004' });
    } finally {
      await weak.close();
    }
  });

  test('the write block is refused while neighbours write, unless it is meant', async () => {
    const app = await makeUser('app', 'shop', [{ role: 'readWrite', db: 'shop' }]);
    await insert(root, 'bank', 'orders');
    const memory = memoryOf();
    const ctx = { cluster, selection: SHOP, memory, runName: 'r1' };
    await expect(openFence('write-block', ctx).raise(never)).rejects.toMatchObject({
      code: 'GW7003',
      message: /bank\.(carts|orders)/,
    });
    expect((await availableFences(ctx))[1]).toMatchObject({ kind: 'write-block', ok: false, reason: /bank/ });
    const fence = openFence('write-block', { ...ctx, allowWholeCluster: true });
    await fence.raise(never);
    await fence.raise(never);
    await expect(insert(app, 'shop', 'orders')).rejects.toMatchObject({ code: 371 });
    // Ours go on: root may bypass the block.
    await insert(root, 'shop', 'orders');
    await openFence('write-block', { ...ctx, memory: memoryOf(memory.values) }).lower(never);
    await insert(app, 'shop', 'orders');
  });
});
