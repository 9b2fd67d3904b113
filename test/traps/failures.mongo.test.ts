/** Traps of failures: what must stop the run, and what must leave no trace. */
import type { Document } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { armFailpoint } from '../../src/kernel/failpoint.ts';
import { startReplicaSet, waitFor } from '../servers/index.ts';
import { freshName, openMigration, usePair } from './harness.ts';
import { oldestEntry, present, rollOver } from './rollover.ts';

const pair = usePair();
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const by = (id: unknown): never => ({ _id: id }) as never;
const pad = 'x'.repeat(80);

describe('failures', () => {
  it('the log rolls over while the run is down: it stops with GW4001 and does not look healthy', {
    timeout: 240_000,
  }, async () => {
    await using source = await startReplicaSet({ name: 'rolling', oplogSizeMB: 16, checkpointSeconds: 1 });
    const migration = await openMigration({ source, target: pair().target }, freshName(), { retryForSeconds: 5 });
    const { db } = migration.stage;
    try {
      await db.collection('c').insertMany(many(50, (i) => ({ _id: i, pad })));
      await migration.runUntil('copied');
      await db.collection('c').insertOne(by('lost in the log'));
      const position = await present(source);
      await rollOver(source, position);
      expect((await oldestEntry(source)) > position).toBe(true);
      for (let attempt = 0; attempt < 2; attempt += 1) {
        await expect(migration.runUntil('verified')).rejects.toMatchObject({
          code: 'GW4001',
          disposition: 'resnapshot',
        });
        expect(migration.phase()).not.toBe('verified');
      }
      // Nor may anything that builds on it be had.
      await migration.start();
      await expect(migration.ended).rejects.toMatchObject({ code: 'GW4001' });
      expect(['following', 'copying']).toContain(migration.phase());
    } finally {
      await migration.close();
    }
  });

  it('a write that the source rolls back never reaches the target', { timeout: 300_000 }, async () => {
    await using source = await startReplicaSet({ name: 'rollback', members: 3, testCommands: true, proxied: true });
    const migration = await openMigration({ source, target: pair().target }, freshName(), { retryForSeconds: 120 });
    const { db, copy } = migration.stage;
    try {
      await db.collection('c').insertMany(
        many(50, (i) => ({ _id: i, n: 0, pad })),
        { writeConcern: { w: 'majority' } },
      );
      await migration.runUntil('copied');
      await migration.start();
      await migration.reach('verified');
      const old = await source.primary();
      const others = source.members.filter((member) => member !== old);
      const each = async (mode: string): Promise<void> => {
        for (const member of others)
          await (await member.client()).db('admin').command({ configureFailPoint: 'stopReplProducer', mode });
      };
      await each('alwaysOn');
      const lonely = (await old.client()).db(db.databaseName).collection('c');
      // The producers are held only after their next batch: write until one stays behind for good.
      await lonely.insertOne(by('rolled back'), { writeConcern: { w: 1 } });
      await lonely.updateMany({}, { $inc: { n: 1000 } }, { writeConcern: { w: 1 } });
      const last = (await (await old.client()).db('admin').command({ hello: 1 }))['lastWrite'];
      expect(last.opTime.ts.greaterThan(last.majorityOpTime.ts)).toBe(true);
      await old.kill();
      await each('off');
      const now = await waitFor(async () => ((await source.primary()) === old ? undefined : source.primary()), {
        timeoutMs: 60_000,
        what: 'another primary',
      });
      const client = await now.client();
      await client
        .db(db.databaseName)
        .collection('c')
        .insertOne(by('after'), { writeConcern: { w: 'majority' } });
      expect(await client.db(db.databaseName).collection('c').countDocuments(by('rolled back'))).toBe(0);
      await old.start();
      await source.ready();
      await migration.stage.caughtUp();
      expect(await copy.collection('c').countDocuments(by('rolled back'))).toBe(0);
      expect(await copy.collection('c').countDocuments({ n: { $gte: 1000 } })).toBe(0);
      expect(await copy.collection('c').countDocuments(by('after'))).toBe(1);
      await migration.ask('cutover');
      await migration.stop();
      expect((await migration.compare()).differences).toEqual([]);
    } finally {
      await migration.close();
    }
  });

  it('the primary of the target is killed inside a bulk', { timeout: 300_000 }, async () => {
    await using target = await startReplicaSet({ name: 'killed', members: 3 });
    const migration = await openMigration({ source: pair().source, target }, freshName(), { retryForSeconds: 120 });
    const { db, copy } = migration.stage;
    try {
      await db.collection('c').insertMany(many(200, (i) => ({ _id: i, n: 0, pad })));
      await migration.runUntil('copied');
      await db.collection('c').updateMany({}, { $inc: { n: 1 } });
      await db.collection('c').insertMany(many(2000, (i) => ({ _id: `new ${i}`, pad })));
      await db.collection('c').updateMany({}, { $inc: { n: 1 } });
      const old = await target.primary();
      let killed: Promise<void> | undefined;
      armFailpoint('apply.mid-write', 1, () => {
        killed = old.kill();
      });
      await migration.start();
      await waitFor(() => killed !== undefined, { timeoutMs: 60_000, what: 'the bulk to be under way' });
      await killed;
      await waitFor(async () => (await target.primary()) !== old, { timeoutMs: 60_000, what: 'another primary' });
      await old.start();
      await migration.reach('verified');
      expect(migration.stage.events.some(({ kind }) => kind === 'fault')).toBe(true);
      expect(await copy.collection('c').countDocuments({ n: 2 })).toBe(200);
      await migration.ask('cutover');
      await migration.stop();
      expect((await migration.compare()).differences).toEqual([]);
    } finally {
      await migration.close();
    }
  });

  it('a straggler that writes after the fence is found, and nothing is switched', async () => {
    const auth = { user: 'root', password: 'secret' };
    await using source = await startReplicaSet({ name: 'fenced', auth });
    const { target } = pair();
    for (const fence of ['write-block', 'none'] as const) {
      const migration = await openMigration({ source, target }, freshName(), { fence, fenceWholeCluster: true });
      const { db, source: client } = migration.stage;
      try {
        await db.collection('c').insertMany(many(50, (i) => ({ _id: i, pad })));
        await migration.runUntil('copied');
        await migration.start();
        await migration.reach('verified');
        let straggling: Promise<unknown> | undefined;
        // root may write past a write block.
        armFailpoint('cutover.after-drain', 1, () => {
          straggling = db.collection('c').insertOne(by('straggler'));
        });
        await expect(migration.ask('cutover')).rejects.toMatchObject({ code: 'GW7002' });
        await straggling;
        expect(migration.phase()).toBe('following');
        // The source serves again, and a second try without the straggler goes through.
        await client.db(migration.stage.name).collection('c').insertOne(by('served again'));
        await migration.ask('cutover');
        expect(migration.phase()).toBe('switched');
        await migration.stop();
        if (fence === 'write-block') await client.db('admin').command({ setUserWriteBlockMode: 1, global: false });
        expect((await migration.compare()).differences).toEqual([]);
        expect(
          await migration.stage.copy
            .collection('c')
            .countDocuments({ _id: { $in: ['straggler', 'served again'] } } as never),
        ).toBe(2);
      } finally {
        await migration.close();
      }
    }
  });
});
