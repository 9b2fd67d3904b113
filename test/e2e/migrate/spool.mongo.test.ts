/** `migrate spool`: the source's log on disk without a run, through kills, gaps and a source that forgets. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { calculateObjectSize, deserialize } from 'bson';
import type { Document, MongoClient } from 'mongodb';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { MigrateOptions, SpoolStatus } from '../../../src/routes/migrate/api.ts';
import { run, spool } from '../../../src/routes/migrate/index.ts';
import { readKeptLog, readSpool, spoolBounds } from '../../../src/state/index.ts';
import { type ReplicaSet, startReplicaSet, waitFor } from '../../servers/index.ts';
import { compareClusters } from '../../tools/compare-clusters.ts';
import { GodwitProcess, runGodwit } from '../../tools/godwit-process.ts';
import { oldestEntry, rollOver } from '../../traps/rollover.ts';
import { PLAIN } from './plain-options.ts';

let source: ReplicaSet;
let target: ReplicaSet;
let dir: string;

beforeAll(async () => {
  [source, target] = await Promise.all([
    startReplicaSet({ name: 'from', oplogSizeMB: 16, checkpointSeconds: 1 }),
    startReplicaSet({ name: 'to' }),
  ]);
  dir = mkdtempSync(join(tmpdir(), 'godwit-spool-'));
});
afterAll(async () => {
  await Promise.all([source?.stop(), target?.stop()]);
  rmSync(dir, { recursive: true, force: true });
});

const never = new AbortController().signal;
const hooks = { signal: never, onEvent: () => undefined };

function optionsOf(name: string, more: Partial<MigrateOptions> = {}): MigrateOptions {
  return {
    ...PLAIN,
    from: source.uri,
    to: target.uri,
    run: name,
    state: join(dir, 'state'),
    include: [name],
    retryForSeconds: 5,
    ...more,
  };
}

const spoolArgs = (folder: string, name: string, ...more: string[]): string[] => [
  'migrate',
  'spool',
  '--from',
  source.uri,
  '--include',
  name,
  '--spool',
  folder,
  '--retry-for',
  '5s',
  '--json',
  ...more,
];

/** A mark at the source, as a position. */
async function mark(): Promise<string> {
  const reply = await (await source.client()).db('admin').command({ appendOplogNote: 1, data: { test: 'mark' } });
  const { t, i } = reply['operationTime'] as { t: number; i: number };
  return [t, i].map((n) => (n >>> 0).toString(16).padStart(8, '0')).join('');
}

async function keptUpTo(folder: string): Promise<string> {
  try {
    return (await spoolBounds(readKeptLog(folder).spoolDir))?.end ?? '';
  } catch {
    return '';
  }
}

async function waitKept(folder: string, position: string): Promise<void> {
  await waitFor(async () => (await keptUpTo(folder)) >= position, { timeoutMs: 60_000, what: 'the log to be kept' });
}

/** Every insert of a collection in the kept log, in order. */
async function keptInserts(folder: string, ns: string): Promise<unknown[]> {
  const { spoolDir, about } = readKeptLog(folder);
  const ids: unknown[] = [];
  for await (const block of readSpool(spoolDir, about.start)) {
    for (let at = 0; at < block.bytes.length; ) {
      const size = block.bytes.readInt32LE(at);
      const entry = deserialize(block.bytes.subarray(at, at + size)) as Document;
      if (entry['ns'] === ns && entry['op'] === 'i') ids.push(entry['o']._id);
      at += size;
    }
  }
  return ids;
}

const insert = async (client: MongoClient, name: string, from: number, count: number): Promise<void> => {
  for (let i = from; i < from + count; i += 1)
    await client
      .db(name)
      .collection<Document>('c')
      .insertOne({ _id: i, pad: 'x'.repeat(200) } as Document);
};

test('killed anywhere, it goes on without a hole and without a double', async () => {
  const name = 'killed';
  const folder = join(dir, 'killed');
  const client = await source.client();
  let written = 0;
  const write = async (count: number): Promise<void> => {
    await insert(client, name, written, count);
    written += count;
  };
  for (const failpoint of ['follow.before-append:4', 'follow.after-append:4', 'follow.after-sync:2']) {
    const killed = new GodwitProcess(spoolArgs(folder, name), { env: { GODWIT_FAILPOINT: failpoint } });
    while (killed.running) await write(20);
    expect((await killed.exited).signal, failpoint).toBe('SIGKILL');
  }
  const stopping = new AbortController();
  const statuses: SpoolStatus[] = [];
  const spooling = spool(
    { ...optionsOf(name), spool: folder },
    { signal: stopping.signal, onStatus: (status) => statuses.push(status) },
  );
  await write(20);
  await waitKept(folder, await mark());
  // A second one is refused while this one lives.
  const second = await runGodwit(spoolArgs(folder, name));
  expect(second.code).toBe(7);
  stopping.abort();
  const last = await spooling;
  expect(last).toMatchObject({ version: 1, folder, fault: null });
  // What was written before it was begun is not its business.
  const ids = await keptInserts(folder, `${name}.c`);
  const first = Number(ids[0]);
  expect(ids.length).toBeGreaterThan(100);
  expect(ids).toEqual(Array.from({ length: written - first }, (_, i) => first + i));
  expect(statuses.length).toBeGreaterThan(0);

  // Begun differently, or in a folder of somebody else's.
  await expect(
    spool({ ...optionsOf('other'), spool: folder }, { signal: never, onStatus: () => undefined }),
  ).rejects.toMatchObject({ code: 'GW1003' });
  await expect(
    spool({ ...optionsOf(name), spool: dir }, { signal: never, onStatus: () => undefined }),
  ).rejects.toMatchObject({ code: 'GW1001' });
});

test('a run whose position has fallen out of the log of the source goes on from the kept one; a gap is refused', {
  timeout: 300_000,
}, async () => {
  const name = 'forgotten';
  const folder = join(dir, 'forgotten');
  const client = await source.client();
  await insert(client, name, 0, 200);
  const spooling = new GodwitProcess(spoolArgs(folder, name));
  await waitFor(async () => (await keptUpTo(folder)) !== '' || !spooling.running, {
    timeoutMs: 30_000,
    what: 'the log to be kept',
  });
  expect(spooling.running, spooling.tail).toBe(true);
  await run(optionsOf(name, { until: 'copied' }), hooks);

  // The run is down; the business writes on, changes structure, and the source forgets all of it.
  const orders = client.db(name).collection<Document>('c');
  await orders.updateMany({}, { $set: { changed: true } });
  await orders.deleteMany({ _id: { $lt: 50 } } as Document);
  await client.db(name).collection('later').insertOne({ made: 'while the run was down' });
  await orders.createIndex({ pad: 1 });
  const afterwards = await mark();
  await rollOver(source, afterwards);
  expect((await oldestEntry(source)) > afterwards).toBe(true);
  await insert(client, name, 1000, 20);

  await expect(run(optionsOf(name, { until: 'verified' }), hooks)).rejects.toMatchObject({ code: 'GW4001' });
  // A kept log of other namespaces does not help.
  await expect(run(optionsOf(name, { until: 'verified', spool: join(dir, 'killed') }), hooks)).rejects.toMatchObject({
    code: 'GW1003',
  });
  const events: string[] = [];
  await run(optionsOf(name, { until: 'verified', spool: folder }), {
    ...hooks,
    onEvent: (event) => event.type === 'event' && events.push(event.kind),
  });
  expect(events).toContain('log-from-spool');
  const comparison = await compareClusters(source.uri, target.uri, { include: (db) => db === name });
  expect(comparison.differences).toEqual([]);
  expect(comparison.documents).toBe(171);

  // The keeper itself is stopped for longer than the source remembers.
  spooling.signal('SIGTERM');
  expect((await spooling.exited).code).toBe(0);
  const kept = await keptUpTo(folder);
  await rollOver(source, await mark());
  const refused = await runGodwit(spoolArgs(folder, name));
  expect(refused.code, refused.tail).toBe(4);
  expect(refused.answer).toMatchObject({ error: { code: 'GW4006' } });
  // What was kept is still there.
  expect(await keptUpTo(folder)).toBe(kept);
});

test('lets go of the oldest when it is told how much to keep', { timeout: 300_000 }, async () => {
  const name = 'bounded';
  const folder = join(dir, 'bounded');
  const client = await source.client();
  const stopping = new AbortController();
  const statuses: SpoolStatus[] = [];
  const spooling = spool(
    { ...optionsOf(name), spool: folder, spoolKeepGb: 0.01 },
    { signal: stopping.signal, onStatus: (status) => statuses.push(status) },
  );
  const pad = 'x'.repeat(100_000);
  const document = { pad };
  // A little at a time: the log comes in blocks, and what is kept of it is counted in whole ones.
  for (let i = 0; i < 40_000_000 / calculateObjectSize(document); i += 20) {
    await client
      .db(name)
      .collection('c')
      .insertMany(Array.from({ length: 20 }, () => ({ pad })));
    await waitKept(folder, await mark());
  }
  const isShorter = () => statuses.some(({ bytes }, i) => bytes < (statuses[i - 1]?.bytes ?? 0));
  await waitFor(isShorter, { timeoutMs: 60_000, what: 'the oldest to be let go of while the log is kept' });
  stopping.abort();
  const last = await spooling;
  expect(last.bytes).toBeLessThan(12_000_000);
  expect(last.bytes).toBeGreaterThan(5_000_000);
  const { about, spoolDir } = readKeptLog(folder);
  const bounds = await spoolBounds(spoolDir);
  expect((bounds?.after ?? '') > about.start).toBe(true);
  // From before what is kept there is nothing to be had.
  await expect(
    (async () => {
      for await (const block of readSpool(spoolDir, about.start)) void block;
    })(),
  ).rejects.toMatchObject({ code: 'GW4002' });
});
