import { copyFileSync, mkdirSync, readdirSync, readFileSync, statSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { expect, test } from 'vitest';
import type { Chunk } from '../kernel/ports.ts';
import { Database } from './database.ts';
import { codeOf, smallDisk, tempDir } from './fixtures/temp.ts';
import { listRuns } from './list-runs.ts';
import { RunStore } from './run-store.ts';
import { Samples } from './samples.ts';
import { formatOf, upgrade } from './schema.ts';

const about = { route: 'migrate', plan: { source: 'mongodb://bob:***@h/', namespaces: ['shop.*'] } };
const create = (dir: string, run = 'r1') => RunStore.create(dir, run, about, { now: () => 1000 });
const chunk = (id: number, unit = 'shop.orders'): Chunk => ({
  id,
  unit,
  bounds: Buffer.from([id, 255, 0]),
  docs: 10.4,
  bytes: 100,
});

test('a run is created once, reopened, and listed', async () => {
  const dir = join(tempDir(), 'state');
  expect(listRuns(dir)).toEqual([]);
  create(dir).close();
  const store = RunStore.open(dir, 'r1');
  expect([store.run, store.route, store.phase, store.createdAtMs]).toEqual(['r1', 'migrate', 'created', 1000]);
  expect(store.plan()).toEqual(about.plan);
  expect(await codeOf(() => create(dir))).toBe('GW1001');
  expect(listRuns(dir)).toEqual([{ run: 'r1', route: 'migrate', phase: 'created', createdAtMs: 1000 }]);
  expect(statSync(join(dir, 'r1')).mode & 0o777).toBe(0o700);
  store.set('a', 1);
  store.setLive({ a: 1 });
  for (const name of readdirSync(join(dir, 'r1')))
    expect(statSync(join(dir, 'r1', name)).mode & 0o777, name).toBe(0o600);
  store.close();
});

test('refuses what it cannot open', async () => {
  const dir = tempDir();
  expect(await codeOf(() => RunStore.open(dir, 'none'))).toBe('GW1002');
  for (const name of ['', '..', '.', 'a/b', 'ä', 'x'.repeat(65)])
    expect(await codeOf(() => create(dir, name)), name).toBe('GW1001');
  expect(
    await codeOf(() => RunStore.create(dir, 's', { route: 'migrate', plan: { source: 'mongodb://b:pw@h/' } })),
  ).toBe('GW9001');
  // A creation that was cut short is no run, and may be begun again.
  mkdirSync(join(dir, 'half'));
  writeFileSync(join(dir, 'half', 'run.db'), '');
  expect(await codeOf(() => RunStore.open(dir, 'half'))).toBe('GW1002');
  create(dir, 'half').close();
  mkdirSync(join(dir, 'bad'));
  writeFileSync(join(dir, 'bad', 'run.db'), Buffer.alloc(8192, 65));
  expect(await codeOf(() => RunStore.open(dir, 'bad'))).toBe('GW4002');
  expect(listRuns(dir)).toMatchObject([
    { run: 'bad', error: { code: 'GW4002' } },
    { run: 'half', phase: 'created' },
  ]);
});

test('refuses a newer format and brings an older one up to date', async () => {
  const dir = tempDir();
  create(dir).close();
  const db = new Database(join(dir, 'r1', 'run.db'));
  upgrade(db, 1, {
    format: 3,
    migrations: { 1: (d) => d.exec('CREATE TABLE fresh (x)'), 2: (d) => void d.run('INSERT INTO fresh VALUES (7)') },
  });
  expect(formatOf(db)).toBe(3);
  expect(db.get('SELECT x FROM fresh')).toEqual({ x: 7 });
  expect(await codeOf(() => upgrade(db, 3, { format: 5, migrations: { 3: (d) => d.exec('DROP TABLE fresh') } }))).toBe(
    'GW9001',
  );
  expect([formatOf(db), db.get('SELECT x FROM fresh')]).toEqual([3, { x: 7 }]); // the failed upgrade left nothing
  expect(await codeOf(() => upgrade(db, 3, { format: 4, readOnly: true }))).toBe('GW1001');
  db.close();
  expect(await codeOf(() => RunStore.open(dir, 'r1'))).toBe('GW9002');
});

test('enter moves phase, work and event together or not at all', async () => {
  using store = create(tempDir());
  store.enter('copying', 'copy began', () => store.set('at', '01'));
  expect([store.phase, store.get('at')]).toEqual(['copying', '01']);
  expect(store.events()).toEqual([
    { seq: 1, atMs: 1000, kind: 'copy began', data: { from: 'created', to: 'copying' } },
  ]);
  const fails = () =>
    store.enter('following', 'copied', () => {
      store.set('at', '02');
      throw new TypeError('no');
    });
  expect(fails).toThrow(TypeError);
  expect(await codeOf(() => store.enter('done', 'skip'))).toBe('GW9001');
  expect([store.phase, store.get('at'), store.events().length]).toEqual(['copying', '01', 1]);
});

test('commits nest: the inner joins, and a caught inner failure leaves nothing', async () => {
  using store = create(tempDir());
  store.commit(() => {
    store.set('a', 1);
    store.commit(() => store.set('b', 2));
    try {
      store.commit(() => {
        store.set('c', 3);
        throw new Error('inner');
      });
    } catch {
      // the outer goes on
    }
  });
  expect([store.get('a'), store.get('b'), store.get('c')]).toEqual([1, 2, undefined]);
  const outer = () =>
    store.commit(() => {
      store.commit(() => store.set('b', 9));
      throw new Error('outer');
    });
  expect(outer).toThrow('outer');
  expect(store.get('b')).toBe(2);
  expect(await codeOf(() => store.commit(async () => store.set('a', 5)))).toBe('GW9001');
  expect(store.get('a')).toBe(1);
  store.set('a', undefined);
  expect(store.get('a')).toBeUndefined();
});

test('chunks are planned, done once, and counted', async () => {
  using store = create(tempDir());
  store.putChunks('copy', [chunk(2), chunk(1), chunk(3, 'shop.users')]);
  store.putChunks('verify', [chunk(1)]);
  expect(await codeOf(() => store.putChunks('copy', [chunk(4), chunk(1)]))).toBe('GW9001');
  const pending = store.pendingChunks('copy');
  expect(pending.map((one) => one.id)).toEqual([1, 2, 3]);
  expect(pending[0]?.bounds).toEqual(Buffer.from([1, 255, 0]));
  store.chunkDone('copy', 1, { docs: 7, bytes: 70 });
  store.chunkDone('copy', 1, { docs: 8, bytes: 80 });
  expect(await codeOf(() => store.chunkDone('copy', 99, { docs: 0, bytes: 0 }))).toBe('GW9001');
  expect(store.chunkTotals('copy')).toEqual([
    { unit: 'shop.orders', total: 2, done: 1, docs: 20, bytes: 200, docsDone: 8, bytesDone: 80 },
    { unit: 'shop.users', total: 1, done: 0, docs: 10, bytes: 100, docsDone: 0, bytesDone: 0 },
  ]);
  store.clearChunks('copy');
  expect([store.pendingChunks('copy').length, store.pendingChunks('verify').length]).toEqual([0, 1]);
});

test('drift is kept once per key', () => {
  using store = create(tempDir());
  store.putDrift([
    { unit: 'a.b', kind: 'missing', key: '1', sourceDigest: 'ff' },
    { unit: 'a.b', kind: 'structure', key: 'i', note: 'n' },
  ]);
  store.putDrift([{ unit: 'a.b', kind: 'missing', key: '1', sourceDigest: 'ee' }]);
  expect(store.driftCount()).toBe(2);
  expect(store.drift()).toContainEqual({ unit: 'a.b', kind: 'missing', key: '1', sourceDigest: 'ee' });
  expect(store.drift(1)).toHaveLength(1);
  store.clearDrift();
  expect(store.drift()).toEqual([]);
});

test('another connection asks and the runner answers once', () => {
  const dir = tempDir();
  using runner = create(dir);
  using asker = RunStore.open(dir, 'r1');
  const id = asker.request('pause', { reason: 'lunch' });
  expect(runner.pendingRequests()).toMatchObject([{ id, command: 'pause', args: { reason: 'lunch' } }]);
  expect(asker.answerOf(id)).toBeUndefined();
  runner.answer(id, { ok: false, error: 'mongodb://b:pw@h refused' });
  runner.answer(id, { ok: true });
  expect(asker.answerOf(id)).toEqual({ ok: false, error: 'mongodb://b:***@h refused' });
  expect(runner.pendingRequests()).toEqual([]);
});

test('flags, heartbeat, live status and hidden secrets', () => {
  const dir = tempDir();
  using store = create(dir);
  using reader = RunStore.open(dir, 'r1', { readOnly: true });
  expect([reader.flag('paused'), reader.lastHeartbeat(), reader.live()]).toEqual([undefined, undefined, undefined]);
  store.setFlag('paused', 'asked');
  store.heartbeat(42, 5);
  store.setLive({ lagMs: 3, error: 'mongodb://b:topsecret@h' });
  store.event('failed', { error: 'mongodb://b:topsecret@h' });
  expect([reader.flag('paused'), reader.lastHeartbeat()]).toEqual(['asked', { pid: 42, atMs: 5 }]);
  expect(reader.live()).toEqual({ lagMs: 3, error: 'mongodb://b:***@h' });
  store.setFlag('paused', undefined);
  expect(reader.flag('paused')).toBeUndefined();
  for (const name of readdirSync(join(dir, 'r1')))
    expect(readFileSync(join(dir, 'r1', name), 'latin1')).not.toContain('topsecret');
});

test('a read-only store needs no writer and no side files, and writes nothing', () => {
  const dir = tempDir();
  create(dir).close();
  const db = new Database(join(dir, 'r1', 'run.db'));
  db.exec('PRAGMA wal_checkpoint(TRUNCATE)');
  db.close();
  mkdirSync(join(dir, 'copy'));
  copyFileSync(join(dir, 'r1', 'run.db'), join(dir, 'copy', 'run.db'));
  using store = RunStore.open(dir, 'copy', { readOnly: true });
  expect(store.phase).toBe('created');
  expect(() => store.set('a', 1)).toThrow();
});

test('samples stay bounded, evenly spaced, with the first and the newest', () => {
  using db = openScratch();
  const samples = new Samples(db.database, 100);
  for (let n = 0; n < 5000; n += 1) {
    samples.add(n * 1000, { n });
    if (n % 97 !== 0) continue;
    const kept = samples.list();
    expect(kept.length).toBeLessThanOrEqual(100);
    expect([kept[0]?.values.n, kept.at(-1)?.values.n]).toEqual([0, n]);
  }
  const times = samples.list().map((one) => one.atMs);
  const gaps = times.slice(1).map((ms, i) => ms - (times[i] ?? 0));
  expect(times.length).toBeGreaterThan(40);
  expect(Math.max(...gaps)).toBeLessThan(4 * (5_000_000 / times.length));
});

test('a full disk is GW4003 and leaves the last commit', async () => {
  const dir = smallDisk('1m');
  using store = create(dir);
  let n = 0;
  const code = await codeOf(() => {
    for (;;) {
      store.commit(() => {
        store.set(`k${n}`, 'x'.repeat(9000));
        store.set('n', n++);
      });
    }
  });
  expect(code).toBe('GW4003');
  expect(store.get('n')).toBe(n - 2);
  expect([store.get(`k${n - 2}`) !== undefined, store.get(`k${n - 1}`)]).toEqual([true, undefined]);
});

function openScratch(): Disposable & { database: Database } {
  const dir = tempDir();
  create(dir).close();
  const database = new Database(join(dir, 'r1', 'run.db'));
  return { database, [Symbol.dispose]: () => database.close() };
}
