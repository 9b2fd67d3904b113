import { UUID } from 'bson';
import { afterAll, beforeAll, beforeEach, describe, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import type { Finding } from '../../../kernel/finding.ts';
import { readCatalog } from '../catalog.ts';
import { Cluster } from '../cluster.ts';
import { makeSelection, type Selection } from '../namespaces.ts';
import type { PreflightContext } from './context.ts';
import { preflight } from './preflight.ts';

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
beforeEach(async () => {
  for (const cluster of [source, target]) {
    for (const { name } of (await cluster.command('admin', { listDatabases: 1 }))['databases']) {
      if (!['admin', 'config', 'local'].includes(name)) await cluster.db(name).dropDatabase();
    }
  }
  await source.db('shop').collection('orders').insertOne({ n: 1 });
});

async function run(
  selection: Selection = makeSelection(['shop'], [], []),
  over: Partial<PreflightContext> = {},
): Promise<Finding[]> {
  const catalog = await readCatalog(source, selection, never);
  return preflight({
    source,
    target,
    selection,
    catalog,
    sizes: { docs: 1, bytes: 1e6 },
    options: { withUsers: false, fence: 'none' },
    ...over,
  });
}
const named = (findings: Finding[], check: string) => findings.find((finding) => finding.check === check);
const errors = (findings: Finding[]) =>
  findings.filter(({ severity }) => severity === 'error').map(({ check }) => check);

test('an ordinary pair of clusters has no errors, and the check leaves nothing behind', async () => {
  const findings = await run();
  expect(errors(findings)).toEqual([]);
  expect(named(findings, 'versions')).toMatchObject({ severity: 'info', message: /MongoDB 6\.0\.5, FCV 6\.0/ });
  expect(named(findings, 'target.delta-stage')).toBeUndefined();
  const { databases } = await target.command('admin', { listDatabases: 1 });
  expect(databases.map(({ name }: { name: string }) => name).sort()).toEqual(['admin', 'config', 'local']);
});

test('a target with data, clashing names and names that differ in case', async () => {
  await target.db('shop').collection('orders').insertOne({ n: 1 });
  await target.db('Store').collection('x').insertOne({ n: 1 });
  await source.db('shop').collection('b').insertOne({ n: 1 });
  expect(named(await run(), 'target.not-empty')).toMatchObject({ severity: 'error', message: /shop\.orders/ });
  expect(errors(await run(makeSelection(['shop'], [], ['shop=store'])))).toEqual(['target.name-case']);
  expect(named(await run(makeSelection(['shop'], [], ['shop.b=shop.orders'])), 'target.name-clash')).toMatchObject({
    message: /both become shop\.orders/,
  });
});

test('what is special about collections is told', async () => {
  const db = source.db('shop');
  await db.createCollection('capped', { capped: true, size: 4096 });
  await db.createCollection('clustered', { clusteredIndex: { key: { _id: 1 }, unique: true } });
  await db.createCollection('series', { timeseries: { timeField: 't' }, expireAfterSeconds: 60 });
  await db.createCollection('images', { changeStreamPreAndPostImages: { enabled: true } });
  await db.createCollection('french', { collation: { locale: 'fr' } });
  await db.createCollection('view', {
    viewOn: 'orders',
    pipeline: [{ $lookup: { from: 'away', as: 'x', pipeline: [{ $unionWith: 'capped' }] } }],
  });
  await db.collection('orders').createIndex({ u: 1 }, { unique: true });
  await db.collection('orders').createIndex({ d: 1 }, { expireAfterSeconds: 5 });
  await db.collection('orders').createIndex({ p: 1 }, { name: 'plain' });
  await db.collection('orders').createIndex({ p: 1 }, { name: 'unique', unique: true });
  const findings = await run(makeSelection(['shop'], ['shop.away'], []));
  expect(errors(findings)).toEqual([]);
  for (const [check, message] of [
    ['collections.capped', /shop\.capped/],
    ['collections.clustered', /shop\.clustered/],
    ['collections.time-series', /shop\.series/],
    ['collections.pre-images', /shop\.images/],
    ['collections.collation', /shop\.french/],
    ['indexes.ttl', /shop\.orders/],
    ['indexes.unique', /shop\.orders/],
    ['indexes.unique-and-plain', /shop\.orders/],
    ['views.sources', /shop\.view \(reads away\)/],
  ] as const) {
    expect(named(findings, check), check).toMatchObject({ message });
  }
});

test('encrypted collections are refused rather than carried half', async () => {
  await source.command('shop', {
    create: 'secret',
    encryptedFields: { fields: [{ path: 'ssn', bsonType: 'string', keyId: new UUID() }] },
  });
  expect(errors(await run())).toContain('collections.encrypted');
});

test('a disk that is too small, an oplog that is too short', async () => {
  const findings = await run(undefined, { sizes: { docs: 1, bytes: 1e15 } });
  expect(named(findings, 'target.disk')).toMatchObject({ severity: 'warning' });
  expect(named(findings, 'oplog.window')).toMatchObject({ severity: 'warning', message: /from the first second/ });
});

test('one cluster on both sides', async () => {
  expect(errors(await run(undefined, { target: source }))).toContain('topology.same-cluster');
  const renamed = await run(makeSelection(['shop'], [], ['shop=shop2']), { target: source });
  expect(named(renamed, 'topology.same-cluster')).toMatchObject({ severity: 'info' });
});

test('nothing chosen is said', async () => {
  expect(errors(await run(makeSelection(['Shop'], [], [])))).toContain('collections.none');
});

describe('users', () => {
  test('fence, free writers and users that stay', async () => {
    await source.command('shop', { createUser: 'app', pwd: 'x', roles: ['readWrite'] });
    await source.command('admin', { createUser: 'dba', pwd: 'x', roles: ['readWriteAnyDatabase'] });
    await source.command('admin', { createUser: 'svc', pwd: 'x', roles: [{ role: 'readWrite', db: 'shop' }] });
    try {
      const findings = await run(undefined, { options: { withUsers: false } });
      expect(named(findings, 'fence')).toMatchObject({
        severity: 'info',
        message: /by roles: Holds (app@shop, svc@admin|svc@admin, app@shop)/,
      });
      expect(named(findings, 'fence.not-held')).toMatchObject({ message: /dba@admin/ });
      expect(named(findings, 'users')).toMatchObject({ severity: 'warning', message: /app@shop/ });
      expect(named(findings, 'users.elsewhere')).toMatchObject({ message: /svc@admin/ });
    } finally {
      for (const [db, dropUser] of [
        ['shop', 'app'],
        ['admin', 'dba'],
        ['admin', 'svc'],
      ] as const)
        await source.command(db, { dropUser });
    }
  });

  test('the usual roles are enough, by database or by collection', async () => {
    await source.command('admin', {
      createRole: 'notes',
      privileges: [{ resource: { cluster: true }, actions: ['appendOplogNote'] }],
      roles: [],
    });
    await target.command('admin', {
      createRole: 'notes',
      privileges: [{ resource: { cluster: true }, actions: ['appendOplogNote'] }],
      roles: [],
    });
    await source.command('admin', {
      createUser: 'mover',
      pwd: 'pw',
      roles: [
        'notes',
        'readAnyDatabase',
        'clusterMonitor',
        'userAdminAnyDatabase',
        { role: 'readWrite', db: 'shop' },
        { role: 'dbAdmin', db: 'shop' },
        { role: 'read', db: 'local' },
      ],
    });
    await target.command('admin', {
      createUser: 'mover',
      pwd: 'pw',
      roles: [
        'notes',
        'clusterMonitor',
        { role: 'readWrite', db: 'shop' },
        { role: 'dbAdmin', db: 'shop' },
        { role: 'readWrite', db: 'godwit_selftest' },
      ],
    });
    const movers = await Promise.all(
      sets.map((set, i) => Cluster.connect(i ? 'target' : 'source', set.uri.replace('root:pw@', 'mover:pw@'))),
    );
    try {
      const findings = await run(undefined, { source: movers[0]!, target: movers[1]! });
      expect(findings.filter(({ check }) => check.startsWith('privileges'))).toEqual([]);
      expect(errors(findings)).toEqual([]);
      expect(findings.filter(({ message }) => message.startsWith('It could not'))).toEqual([]);
    } finally {
      await Promise.all(movers.map((cluster) => cluster.close()));
      for (const cluster of [source, target]) {
        await cluster.command('admin', { dropUser: 'mover' });
        await cluster.command('admin', { dropRole: 'notes' });
      }
    }
  });

  test('missing privileges are named exactly, on both sides', async () => {
    await source.db('shop').createCollection('series', { timeseries: { timeField: 't' } });
    for (const cluster of [source, target]) {
      await cluster.command('admin', { createUser: 'weak', pwd: 'pw', roles: [{ role: 'read', db: 'shop' }] });
    }
    const weak = await Promise.all(
      sets.map((set, i) => Cluster.connect(i ? 'target' : 'source', set.uri.replace('root:pw@', 'weak:pw@'))),
    );
    try {
      const findings = await run(undefined, { source: weak[0]!, target: weak[1]!, options: { withUsers: false } });
      expect(named(findings, 'privileges.source')?.message).toMatch(
        /weak@admin lacks privileges at the source; on the cluster: appendOplogNote, listDatabases; on local\.oplog\.rs: find; /,
      );
      expect(named(findings, 'privileges.target')?.message).toMatch(/on shop: insert, update, remove/);
      expect(named(findings, 'privileges.target')?.message).not.toMatch(/on shop: find/);
      expect(named(findings, 'target.delta-stage')).toMatchObject({ severity: 'warning' });
      expect(named(findings, 'privileges.source')?.message).toMatch(/on shop\.system\.buckets\.series: find/);
      expect(named(findings, 'oplog.window')).toMatchObject({ severity: 'warning', message: /could not be looked at/ });
    } finally {
      await Promise.all(weak.map((cluster) => cluster.close()));
      for (const cluster of [source, target]) await cluster.command('admin', { dropUser: 'weak' });
    }
  });
});
