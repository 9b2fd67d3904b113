/** A time point that only a delayed member still has before it. */
import { MongoClient, type Timestamp } from 'mongodb';
import { expect, test } from 'vitest';
import { check, exportMedium, importMedium, run } from '../../src/routes/migrate/index.ts';
import { waitFor } from '../servers/wait-for.ts';
import { eventOf, exportOptions, hooksOf, importOptions, runOptions, useWorld } from './world.ts';

const DELAY_SECONDS = 15;
const world = useWorld({
  source: {
    members: 3,
    memberConfig: [{}, {}, { priority: 0, hidden: true, secondaryDelaySecs: DELAY_SECONDS }],
    // The others remember nothing.
    setParameter: { minSnapshotHistoryWindowInSeconds: 0 },
  },
});

test('a delayed member is read exactly as of a time point that the others have forgotten', {
  timeout: 120_000,
}, async () => {
  const w = world();
  const name = 'late';
  const delayed = w.source.members[2]?.address ?? '';
  const direct = await MongoClient.connect(`mongodb://${delayed}/?directConnection=true`);
  try {
    await direct.db('admin').command({ setParameter: 1, minSnapshotHistoryWindowInSeconds: 300 });
  } finally {
    await direct.close();
  }
  const client = await w.source.client();
  const db = client.db(name);
  await db.createCollection('capped', { capped: true, size: 10_000 });
  await db.collection('capped').insertOne({ first: true });
  await db.collection('a').insertMany(Array.from({ length: 300 }, (_, n) => ({ _id: n as never, n })));
  const { operationTime } = (await client.db('admin').command({
    appendOplogNote: 1,
    data: { at: 'time point' },
    writeConcern: { w: 'majority' },
  })) as unknown as { operationTime: Timestamp };
  const timePoint = `${operationTime.t}:${operationTime.i}`;
  await db.collection('a').updateMany({}, { $set: { later: true } });
  await db.collection('a').deleteMany({ n: { $gt: 200 } });
  const readConcern = { level: 'snapshot', atClusterTime: operationTime };
  await waitFor(
    async () => {
      await db.collection('capped').insertOne({ later: true }, { writeConcern: { w: 'majority' } });
      return db
        .command({ find: 'a', readConcern, limit: 1, singleBatch: true })
        .then(() => false)
        .catch((error: { code?: number }) => error.code === 239 || error.code === 246);
    },
    { timeoutMs: 10_000, what: 'the primary to forget the time point' },
  );
  const report = await check(runOptions(w, name, { timePoint }), hooksOf(w).signal);
  expect(report.findings.find((finding) => finding.check === 'time-point.delayed')?.message).toContain(
    `Exactly, by the member ${delayed}`,
  );

  const done = await exportMedium(exportOptions(w, name, name, { timePoint }), hooksOf(w));
  expect(eventOf(w, 'delayed-member')).toEqual({ member: delayed });
  expect(done.inexact.map((one) => one.namespace)).toEqual([`${name}.capped`]);
  // All 300, though the others hold 201.
  expect(done.documents).toBeGreaterThan(300);
  await importMedium(importOptions(w, name, name), hooksOf(w));
  expect(await run(runOptions(w, name, { until: 'verified' }), hooksOf(w))).toMatchObject({ phase: 'verified' });
});
