import { MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import { Cluster } from '../cluster.ts';
import { makeSelection } from '../namespaces.ts';
import { copyUsersAndRoles } from './copy-users.ts';

const AUTH = { user: 'root', password: 'pw' };
const never = new AbortController().signal;
let sets: ReplicaSet[];
let source: Cluster;
let target: Cluster;

beforeAll(async () => {
  sets = await Promise.all([startReplicaSet({ auth: AUTH }), startReplicaSet({ auth: AUTH, name: 'rs1' })]);
  source = await Cluster.connect('source', sets[0]!.uri);
  target = await Cluster.connect('target', sets[1]!.uri);
});
afterAll(async () => {
  await Promise.all([source?.close(), target?.close()]);
  await Promise.all((sets ?? []).map((set) => set.stop()));
});

async function login(user: string, db: string, password: string, mechanism: string): Promise<MongoClient> {
  const uri = sets[1]!.uri
    .replace('root:pw@', `${user}:${password}@`)
    .replace('authSource=admin', `authSource=${db}&authMechanism=${mechanism}`);
  return new MongoClient(uri).connect();
}

test('the old password works on the target, by either mechanism, under a new database name', async () => {
  await source.db('shop').collection('orders').insertOne({ n: 1 });
  await source.db('bank').collection('a').insertOne({ n: 1 });
  await source.command('shop', {
    createRole: 'clerk',
    privileges: [{ resource: { db: 'shop', collection: 'orders' }, actions: ['find', 'insert'] }],
    roles: ['read'],
  });
  const roles = [
    { role: 'clerk', db: 'shop' },
    { role: 'read', db: 'bank' },
  ];
  await source.command('shop', { createUser: 'app', pwd: 'first', roles, customData: { of: 'us' } });
  await source.command('shop', { createUser: 'old', pwd: 'older', roles: ['readWrite'], mechanisms: ['SCRAM-SHA-1'] });
  await source.command('bank', { createUser: 'teller', pwd: 'x', roles: ['readWrite'] });
  await source.command('admin', { createUser: 'ops', pwd: 'x', roles: [{ role: 'readWrite', db: 'shop' }] });
  await target.command('bank', { createUser: 'resident', pwd: 'x', roles: ['read'] });

  const selection = makeSelection(['shop'], [], ['shop=store']);
  const rename = (db: string) => selection.target(db, '').db;
  const copied = await copyUsersAndRoles(source, target, selection, rename, never);
  expect(copied).toEqual({
    users: expect.arrayContaining(['app@store', 'old@store']),
    roles: ['clerk@store'],
    leftOut: ['read@bank of app@shop'],
    leftBehind: ['ops@admin'],
  });
  for (const mechanism of ['SCRAM-SHA-1', 'SCRAM-SHA-256']) {
    const app = await login('app', 'store', 'first', mechanism);
    await app.db('store').collection('orders').insertOne({ n: 2 });
    await expect(app.db('store').collection('other').insertOne({ n: 2 })).rejects.toMatchObject({ code: 13 });
    await app.close();
  }
  const old = await login('old', 'store', 'older', 'SCRAM-SHA-1');
  await old.db('store').collection('other').insertOne({ n: 1 });
  await old.close();
  await expect(login('app', 'store', 'second', 'SCRAM-SHA-256')).rejects.toMatchObject({ code: 18 });

  // Again, after a change of password at the source.
  await source.command('shop', { updateUser: 'app', pwd: 'second' });
  await copyUsersAndRoles(source, target, selection, rename, never);
  await (await login('app', 'store', 'second', 'SCRAM-SHA-256')).close();
  const info = await target.command('admin', { usersInfo: { forAllDBs: true } });
  expect(info['users'].map((user: { _id: string }) => user._id).sort()).toEqual([
    'admin.root',
    'bank.resident',
    'store.app',
    'store.old',
  ]);
  expect(info['users'].find((user: { user: string }) => user.user === 'app').customData).toEqual({ of: 'us' });
  expect(await target.db('admin').listCollections({ name: /^temp/ }).toArray()).toEqual([]);
});
