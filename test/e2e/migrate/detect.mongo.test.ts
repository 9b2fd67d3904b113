/** Late or wrong: what differs while the log is behind, judged by the log itself. */
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Document } from 'bson';
import { expect, it } from 'vitest';
import type { Evidence } from '../../../src/routes/migrate/api.ts';
import { waitFor } from '../../servers/index.ts';
import { freshName, type Migration, openMigration, usePair } from '../../traps/harness.ts';

const pair = usePair({ source: { setParameter: { minSnapshotHistoryWindowInSeconds: 5 } } });
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const pad = 'x'.repeat(80);

/** A run that follows and is paused: what is written from now on is behind. */
async function paused(): Promise<Migration> {
  const migration = await openMigration(pair(), freshName());
  const { db } = migration.stage;
  await db.collection('c').insertMany(many(300, (i) => ({ _id: i, n: 0, pad })));
  await db.createCollection('ring', { capped: true, size: 50_000 });
  await db.collection('ring').insertMany(many(20, (i) => ({ _id: i })));
  await migration.start();
  await migration.reach('verified');
  await migration.ask('pause');
  return migration;
}

async function changeBoth({ stage }: Migration): Promise<void> {
  const late = stage.db.collection<Document>('c');
  await late.updateOne({ _id: 1 as never }, { $inc: { n: 1 } });
  await late.replaceOne({ _id: 2 as never }, { n: 'replaced' });
  await late.deleteOne({ _id: 3 as never });
  await late.insertOne({ _id: 'new' as never });
  await stage.db.collection('ring').insertOne({ _id: 'late' as never });
  const wrong = stage.copy.collection<Document>('c');
  await wrong.updateOne({ _id: 10 as never }, { $set: { pad: 'tampered' } });
  await wrong.deleteOne({ _id: 11 as never });
  await wrong.insertOne({ _id: 'extra' as never });
  // Wrong, although a change of it is on its way.
  await wrong.updateOne({ _id: 12 as never }, { $set: { pad: 'tampered' } });
  await late.updateOne({ _id: 12 as never }, { $inc: { n: 1 } });
}

const byKey = (evidence: readonly Evidence[] | undefined, verdict: Evidence['verdict']) =>
  (evidence ?? [])
    .filter((row) => row.verdict === verdict)
    .map((row) => row.key)
    .sort();
const WRONG = ['"extra"', '{"$numberInt":"10"}', '{"$numberInt":"11"}', '{"$numberInt":"12"}'];
const LATE = ['"late"', '"new"', '{"$numberInt":"1"}', '{"$numberInt":"2"}', '{"$numberInt":"3"}'];

it('by the old value: what the source held at the position applied', async () => {
  const migration = await paused();
  try {
    expect((await migration.ask('verify', { now: true })).message).toContain('Nothing is wrong; nothing is late');
    await changeBoth(migration);
    const result = await migration.ask('verify', { now: true });
    expect(byKey(result.evidence, 'wrong')).toEqual(WRONG);
    expect(byKey(result.evidence, 'late')).toEqual(LATE);
    expect(result).toMatchObject({ late: 5, phase: 'verified' });
    expect(result.drift?.map(({ key }) => key).sort()).toEqual(WRONG);
    const of = (key: string) => result.evidence?.find((row) => row.key === key);
    const updated = of('{"$numberInt":"1"}');
    expect(updated).toMatchObject({ verdict: 'late', entry: { kind: 'update', applied: false } });
    // The old value is what the target holds.
    expect(updated?.beforeDigest).toBe(updated?.targetDigest);
    expect(updated?.sourceDigest).not.toBe(updated?.targetDigest);
    expect(of('"new"')).toMatchObject({ beforeDigest: 'none', entry: { kind: 'insert' } });
    expect(of('{"$numberInt":"2"}')).toMatchObject({ entry: { kind: 'replace' } });
    expect(of('{"$numberInt":"3"}')).toMatchObject({ kind: 'extra', entry: { kind: 'delete' } });
    expect(of('{"$numberInt":"12"}')?.beforeDigest).not.toBe(of('{"$numberInt":"12"}')?.targetDigest);
    const dir = join(migration.options.state, migration.options.run);
    const { detection } = JSON.parse(readFileSync(join(dir, 'report.json'), 'utf8')) as { detection: Document };
    expect(detection).toMatchObject({ late: 5, wrong: 4 });
    expect(readFileSync(join(dir, 'report.html'), 'utf8')).toContain('Late or wrong');
    // Applied, what was late is right; what was wrong is still there, and a proof says so and why.
    await migration.ask('resume');
    await migration.stage.caughtUp();
    const after = await migration.ask('verify');
    expect(byKey(after.evidence, 'wrong')).toEqual(WRONG);
    expect(after.evidence?.find((row) => row.key === '{"$numberInt":"12"}')).toMatchObject({
      entry: { kind: 'update', applied: true },
    });
  } finally {
    await migration.close();
  }
});

it('by the log alone, when the source no longer has the old value', async () => {
  const migration = await paused();
  try {
    await changeBoth(migration);
    const result = await waitFor(
      async () => {
        const found = await migration.ask('verify', { now: true });
        return found.evidence?.every((row) => row.beforeDigest === undefined) ? found : undefined;
      },
      { timeoutMs: 60_000, what: 'the source to forget the old values' },
    );
    // Of a change in place the log has the difference only: with 12, the timestamps speak for it.
    expect(byKey(result.evidence, 'wrong')).toEqual(WRONG.slice(0, 3));
    expect(byKey(result.evidence, 'late')).toEqual([...LATE.slice(0, 3), '{"$numberInt":"12"}', ...LATE.slice(3)]);
  } finally {
    await migration.close();
  }
});
