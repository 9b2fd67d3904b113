/** A medium made under every kind of operation at once, and T1 proved by sums that hold at every instant. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { deserialize } from 'bson';
import { expect, test } from 'vitest';
import { exportMedium, importMedium, run } from '../../src/routes/migrate/index.ts';
import { startTorture, tortureNames } from '../torture/index.ts';
import { cutOver, differences, eventOf, exportOptions, hooksOf, importOptions, runOptions, useWorld } from './world.ts';

const world = useWorld();

test.each([
  ['medium', 'none', 11],
  ['medium.archive.zst', 'zstd', 12],
] as const)('%s under torture: equal after the cutover', { timeout: 240_000 }, async (medium, compress, seed) => {
  const w = world();
  const name = `torture${seed}`;
  const torture = await startTorture({ uri: w.source.uri, seed, db: name, documents: 2500, rate: 250 });
  const { main, scratch } = tortureNames(name);
  const include = [main, scratch];
  try {
    // What it does to structure may fall anywhere: before, into and after the export.
    await exportMedium(exportOptions(w, name, `${seed}-${medium}`, { compress, include }), hooksOf(w));
    await importMedium(importOptions(w, name, `${seed}-${medium}`, { include }), hooksOf(w));
    await cutOver(w, runOptions(w, name, { include }), async () => {
      await sleep(4000);
      await torture.stop();
    });
    expect(await differences(w, include)).toEqual([]);
  } finally {
    await torture.stop().catch(() => undefined);
  }
});

test('exactly as of the time point: transfers between accounts sum up on the medium itself', {
  timeout: 120_000,
}, async () => {
  const w = world();
  const name = 'bank';
  const client = await w.source.client();
  const accounts = client.db(name).collection<{ _id: number; balance: number; pad: string }>('accounts');
  const several = Array.from({ length: 8 }, (_, part) =>
    client.db(name).collection<{ _id: number; v: number }>(`p${part}`),
  );
  const pad = 'p'.repeat(2000);
  await accounts.insertMany(Array.from({ length: 3000 }, (_, n) => ({ _id: n, balance: 100, pad })));
  for (const part of several) await part.insertMany(Array.from({ length: 50 }, (_, n) => ({ _id: n, v: 10 })));
  let busy = true;
  const clerk = async (seed: number) => {
    const session = client.startSession();
    try {
      for (let n = seed; busy; n += 7) {
        await session
          .withTransaction(async () => {
            await accounts.updateOne({ _id: n % 3000 }, { $inc: { balance: -1 } }, { session });
            await accounts.updateOne({ _id: (n * 31) % 3000 }, { $inc: { balance: 1 } }, { session });
            // Across collections too.
            await several[n % 8]?.updateOne({ _id: n % 50 }, { $inc: { v: -1 } }, { session });
            await several[(n + 3) % 8]?.updateOne({ _id: (n * 3) % 50 }, { $inc: { v: 1 } }, { session });
          })
          .catch(() => undefined);
      }
    } finally {
      await session.endSession();
    }
  };
  const clerks = [1, 2, 3].map(clerk);
  await sleep(500);
  // Slow enough that hundreds of transfers fall into it.
  const done = await exportMedium(exportOptions(w, name, 'bank', { maxMbps: 4, lanes: 2 }), hooksOf(w));
  busy = false;
  await Promise.all(clerks);
  expect(done).toMatchObject({ snapshot: true, inexact: [] });
  expect(done.logEntries).toBeGreaterThan(100);
  const sum = (file: string, field: string): number => {
    const bytes = readFileSync(join(w.dir, 'bank', name, `${file}.bson`));
    let total = 0;
    for (let at = 0; at < bytes.length; at += bytes.readInt32LE(at))
      total += Number(deserialize(bytes.subarray(at, at + bytes.readInt32LE(at)))[field]);
    return total;
  };
  expect(sum('accounts', 'balance')).toBe(3000 * 100);
  expect(several.reduce((total, _, part) => total + sum(`p${part}`, 'v'), 0)).toBe(8 * 50 * 10);
});

test('outside of the server’s history: the log makes up for it, and the report says so', {
  timeout: 120_000,
}, async () => {
  const w = world();
  const name = 'past';
  const client = await w.source.client();
  const admin = client.db('admin');
  const db = client.db(name);
  await db.collection('a').insertMany(Array.from({ length: 500 }, (_, n) => ({ _id: n as never, n })));
  const { operationTime } = await admin.command({
    appendOplogNote: 1,
    data: { at: 'time point' },
    writeConcern: { w: 'majority' },
  });
  const timePoint = `${operationTime.t}:${operationTime.i}`;
  await db.collection('a').updateMany({}, { $set: { later: true } });
  await db.collection('a').deleteMany({ n: { $gt: 400 } });

  const exact = await exportMedium(exportOptions(w, name, 'exact', { timePoint }), hooksOf(w));
  expect(exact).toMatchObject({
    snapshot: true,
    documents: 500,
    timePoint: { t: operationTime.t, i: operationTime.i },
  });

  // As long as the server remembers nothing at all.
  await admin.command({ setParameter: 1, minSnapshotHistoryWindowInSeconds: 0 });
  try {
    await sleep(1500);
    for (let n = 0; n < 20; n += 1) await db.collection('b').insertOne({ n });
    await admin.command({ fsync: 1 });
    w.events.length = 0;
    const fuzzy = await exportMedium(
      exportOptions(w, name, 'fuzzy', { timePoint, exclude: [`${name}.b`] }),
      hooksOf(w),
    ).catch((error: unknown) => error);
    // Structure was changed since: `b` was created, but it is not chosen.
    expect(fuzzy).toMatchObject({ snapshot: false, documents: 401 });
    expect(eventOf(w, 'not-as-of-time-point')).toMatchObject({ namespace: `${name}.a` });
  } finally {
    await admin.command({ setParameter: 1, minSnapshotHistoryWindowInSeconds: 300 });
  }
  for (const medium of ['exact', 'fuzzy'] as const) {
    const include = [`${name}.a`];
    const options = { include, run: `${name}-${medium}`, rename: [`${name}=${name}_${medium}`] };
    await importMedium(importOptions(w, name, medium, options), hooksOf(w));
    const end = await run(runOptions(w, name, { ...options, until: 'verified' }), hooksOf(w));
    expect(end.phase).toBe('verified');
  }
});
