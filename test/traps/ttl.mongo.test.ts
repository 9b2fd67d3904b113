/** Traps of documents that expire: the target must not expire anything by itself. */
import type { Db, Document } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { armFailpoint } from '../../src/kernel/failpoint.ts';
import { waitFor } from '../servers/index.ts';
import { freshName, migrateScenario, openMigration, usePair } from './harness.ts';

const pair = usePair({
  source: { setParameter: { ttlMonitorSleepSecs: 1 } },
  target: { setParameter: { ttlMonitorSleepSecs: 1 } },
});
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const pad = 'x'.repeat(60);
const ago = (seconds: number): Date => new Date(Date.now() - seconds * 1000);

/** Waits until the TTL monitor of a server has begun and ended a whole pass from now on. */
async function passOfTtlMonitor(db: Db): Promise<void> {
  const passes = async (): Promise<number> => Number((await db.command({ serverStatus: 1 }))['metrics'].ttl.passes);
  const before = await passes();
  await waitFor(async () => (await passes()) >= before + 2, { timeoutMs: 30_000, what: 'the TTL monitor to pass' });
}

describe('indexes that expire documents', () => {
  it('the target expires nothing on its own', async () => {
    const { source } = pair();
    const admin = (await source.client()).db('admin');
    // The source keeps what is past its time: whatever is missing on the target was taken away there.
    await admin.command({ setParameter: 1, ttlMonitorEnabled: false });
    const migration = await openMigration(pair(), freshName());
    const { db, copy } = migration.stage;
    try {
      await db.collection('c').insertMany(many(60, (i) => ({ _id: i, at: ago(1000), pad })));
      await db.collection('c').createIndex({ at: 1 }, { expireAfterSeconds: 1 });
      await db.createCollection('clustered', {
        clusteredIndex: { key: { _id: 1 }, unique: true },
        expireAfterSeconds: 1,
      } as never);
      await db.collection('clustered').insertMany(many(60, (i) => ({ _id: ago(1000 + i), pad })));
      await migration.runUntil('copied');
      await passOfTtlMonitor(copy);
      expect(await copy.collection('c').countDocuments()).toBe(60);
      await migration.start();
      await migration.reach('verified');
      await db.collection('c').insertMany(many(10, (i) => ({ _id: 100 + i, at: ago(1000) })));
      await migration.stage.caughtUp();
      await passOfTtlMonitor(copy);
      expect(await copy.collection('c').countDocuments()).toBe(70);
      expect(await copy.collection('clustered').countDocuments()).toBe(60);
      await migration.ask('cutover');
      // And from the switch on it does.
      await waitFor(
        async () =>
          (await copy.collection('c').countDocuments()) + (await copy.collection('clustered').countDocuments()) === 0,
        {
          timeoutMs: 30_000,
          what: 'the target to expire what is past its time',
        },
      );
    } finally {
      await migration.close();
      await admin.command({ setParameter: 1, ttlMonitorEnabled: true });
    }
  });

  it('expireAfterSeconds changed by collMod on the way', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => {
        await db.collection('c').insertMany(many(60, (i) => ({ _id: i, at: new Date(), pad })));
        await db.collection('c').createIndex({ at: 1 }, { expireAfterSeconds: 4000, name: 'at' });
        await db.collection('c').createIndex({ at: 1, n: 1 }, { name: 'never' });
        await db.collection('c').createIndex({ other: 1 }, { name: 'plain' });
        await db.createCollection('clustered', {
          clusteredIndex: { key: { _id: 1 }, unique: true },
          expireAfterSeconds: 5000,
        } as never);
      },
      during: async ({ db }) => {
        await db.command({ collMod: 'c', index: { name: 'at', expireAfterSeconds: 5000 } });
        // A plain index that begins to expire.
        await db.command({ collMod: 'c', index: { name: 'plain', expireAfterSeconds: 6000 } });
        await db.command({ collMod: 'clustered', expireAfterSeconds: 7000 });
      },
      flowing: async ({ db }) => {
        await db.command({ collMod: 'c', index: { keyPattern: { at: 1 }, expireAfterSeconds: 8000 } });
        await db.collection('c').createIndex({ late: 1 }, { name: 'late' });
        await db.command({ collMod: 'c', index: { name: 'late', expireAfterSeconds: 9000 } });
        await db.command({ collMod: 'clustered', expireAfterSeconds: 'off' });
      },
      after: async ({ copy }) => {
        const indexes = await copy.collection('c').listIndexes().toArray();
        const found = Object.fromEntries(indexes.map((index) => [String(index['name']), index['expireAfterSeconds']]));
        expect(found).toEqual({ _id_: undefined, at: 8000, never: undefined, plain: 6000, late: 9000 });
      },
    }));

  it('expirations in the second of the cutover', async () => {
    const migration = await openMigration(pair(), freshName());
    const { db, copy, source, target } = migration.stage;
    try {
      await db.collection('c').insertMany(many(60, (i) => ({ _id: i, at: new Date(), pad })));
      await db.collection('c').createIndex({ at: 1 }, { expireAfterSeconds: 3600 });
      await migration.runUntil('copied');
      await migration.start();
      await migration.reach('verified');
      await source.db('admin').command({ setParameter: 1, ttlMonitorEnabled: false });
      await db.collection('c').insertMany(many(200, (i) => ({ _id: 1000 + i, at: ago(4000) })));
      await migration.stage.caughtUp();
      let expired: Promise<unknown> | undefined;
      // The fence is up, and now the source's own monitor deletes: that is no write of the business.
      armFailpoint('cutover.after-fence', 1, () => {
        expired = source
          .db('admin')
          .command({ setParameter: 1, ttlMonitorEnabled: true })
          .then(() =>
            waitFor(async () => (await db.collection('c').countDocuments()) === 60, {
              timeoutMs: 30_000,
              what: 'the source to expire',
            }),
          );
      });
      await migration.ask('cutover');
      await expired;
      await waitFor(async () => (await copy.collection('c').countDocuments()) === 60, {
        timeoutMs: 30_000,
        what: 'both sides to have expired',
      });
      await target.db('admin').command({ setParameter: 1, ttlMonitorEnabled: false });
      await migration.stop();
      expect((await migration.compare()).differences).toEqual([]);
    } finally {
      await migration.close();
      for (const client of [source, target])
        await client.db('admin').command({ setParameter: 1, ttlMonitorEnabled: true });
    }
  });
});
