import { afterAll, beforeAll, expect, test } from 'vitest';
import { type ReplicaSet, startReplicaSet } from '../../../../test/servers/index.ts';
import { Cluster } from '../cluster.ts';
import { makeSelection } from '../namespaces.ts';
import { countOf } from './histogram.ts';
import { NeighbourLoad } from './neighbour-load.ts';

let rs: ReplicaSet;
let cluster: Cluster;

beforeAll(async () => {
  rs = await startReplicaSet({
    members: 2,
    memberConfig: [{ priority: 2 }, { priority: 0 }],
    auth: { user: 'root', password: 'pw' },
  });
  cluster = await Cluster.connect('source', rs.uri);
});
afterAll(async () => {
  await cluster?.close();
  await rs?.stop();
});

test('counts what neighbours do and feel, and not what is chosen', async () => {
  await cluster.db('bank').collection('a').insertOne({ n: 0 });
  const load = new NeighbourLoad(cluster, makeSelection(['shop'], [], []));
  expect(await load.sample()).toMatchObject({ seconds: 0, reads: { ops: 0 }, writes: { ops: 0 } });
  for (let i = 0; i < 50; i += 1) await cluster.db('bank').collection('a').insertOne({ i });
  for (let i = 0; i < 30; i += 1) await cluster.db('bank').collection('a').findOne({ i });
  for (let i = 0; i < 500; i += 1) await cluster.db('shop').collection('a').insertOne({ i });
  const sample = await load.sample();
  expect(sample.writes.ops).toBeGreaterThanOrEqual(50);
  expect(sample.writes.ops).toBeLessThan(100);
  expect(sample.reads.ops).toBeGreaterThanOrEqual(30);
  expect(sample.writes.meanMs).toBeGreaterThan(0);
  expect(sample.seconds).toBeGreaterThan(0);
  expect(sample.cacheUsed).toBeGreaterThan(0);
  expect(sample.lagSeconds).toBeGreaterThanOrEqual(0);
  // Histograms need two looks at a namespace that was busy.
  await cluster.db('bank').collection('a').insertOne({ n: 1 });
  for (let i = 0; i < 40; i += 1) await cluster.db('bank').collection('a').findOne({ i });
  const counted = await load.sample();
  expect(counted.reads.histogram && countOf(counted.reads.histogram)).toBeGreaterThanOrEqual(40);
  expect(counted.writes.histogram && countOf(counted.writes.histogram)).toBeGreaterThanOrEqual(1);

  // A slow neighbour is seen as slow.
  await cluster.db('bank').collection('a').findOne({ $where: 'sleep(20) || true' });
  const slow = await load.sample();
  expect(slow.reads.meanMs).toBeGreaterThan(sample.reads.meanMs);
});

test('without the privilege for top, the overall write latency stands in', async () => {
  await cluster.command('admin', {
    createRole: 'status',
    privileges: [{ resource: { cluster: true }, actions: ['serverStatus'] }],
    roles: [],
  });
  await cluster.command('admin', { createUser: 'weak', pwd: 'pw', roles: ['status'] });
  const weak = await Cluster.connect('source', rs.uri.replace('root:pw@', 'weak:pw@'));
  try {
    const load = new NeighbourLoad(weak, makeSelection(['shop'], [], []));
    await load.sample();
    for (let i = 0; i < 20; i += 1) await cluster.db('bank').collection('a').insertOne({ i });
    const sample = await load.sample();
    expect(sample.writes.ops).toBeGreaterThanOrEqual(20);
    expect(sample.lagSeconds).toBeUndefined();
  } finally {
    await weak.close();
  }
});
