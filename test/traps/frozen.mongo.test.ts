/** Traps of a copy from a member that stands still: what is half done at its time point, and what happens meanwhile. */
import type { ClientSession, Document } from 'mongodb';
import { describe, expect, it } from 'vitest';
import { freshName, migrateScenario, openMigration, type Stage, usePair } from './harness.ts';

const pair = usePair({
  source: { members: 3, memberConfig: [{ priority: 2 }, {}, { priority: 0, hidden: true }] },
});
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const by = (id: unknown): never => ({ _id: id }) as never;
const pad = 'x'.repeat(80);
const rows = (): never[] => many(80, (i) => ({ _id: i, n: 0, pad }));
const options = { freeze: 'secondary' } as const;

/** A member was stopped, and nothing but its own moment was read, or the copy was cut short. */
function expectFrozen({ events }: Stage): void {
  expect(events.map(({ kind }) => kind)).toEqual(expect.arrayContaining(['member-frozen', 'member-released']));
}

/** What is laid out is on every member: the hidden one may be behind the majority. */
async function onAll({ source }: Stage): Promise<void> {
  await source.db('admin').command({ appendOplogNote: 1, data: {}, writeConcern: { w: 3, wtimeout: 60_000 } });
}

describe('a copy from a member that stands still', () => {
  it('transactions open at its time point: committed and aborted while it stands, one of several log entries', {
    timeout: 240_000,
  }, () => {
    const open: ClientSession[] = [];
    return migrateScenario({
      pair: pair(),
      options,
      applyTwice: true,
      before: async (stage) => {
        const orders = stage.db.collection('c');
        await orders.insertMany(rows());
        await onAll(stage);
        for (let t = 0; t < 3; t += 1) {
          const session = stage.source.startSession();
          session.startTransaction();
          await orders.insertOne(by(`of ${t}`), { session });
          await orders.updateOne(by(t), { $inc: { n: 1 } }, { session });
          await orders.deleteOne(by(10 + t), { session });
          open.push(session);
        }
        for (let i = 0; i < 18; i += 1)
          await orders.insertOne({ _id: `large ${i}`, pad: 'y'.repeat(1024 * 1024) } as never, {
            session: open[0] as ClientSession,
          });
      },
      during: async ({ db }) => {
        const [large, small, lost] = open as [ClientSession, ClientSession, ClientSession];
        await large.commitTransaction();
        await small.commitTransaction();
        await lost.abortTransaction();
        await Promise.all(open.map((session) => session.endSession()));
        await db.collection('c').updateOne(by('large 3'), { $set: { pad: 'changed after it' } });
        await db.collection('c').insertOne(by(10));
      },
      after: async (stage) => {
        expectFrozen(stage);
        expect(await stage.copy.collection('c').countDocuments({ _id: /^of [01]$/ } as never)).toBe(2);
        expect(await stage.copy.collection('c').countDocuments(by('of 2'))).toBe(0);
      },
    });
  });

  it('structure that changes while it stands: renamed, dropped, made again, indexed', () => {
    let building: Promise<string> | undefined;
    let built = false;
    return migrateScenario({
      pair: pair(),
      options,
      before: async (stage) => {
        for (const name of ['a', 'b', 'c', 'd']) await stage.db.collection(name).insertMany(rows());
        await stage.db.createCollection('e', { validator: { n: { $exists: true } } });
        await onAll(stage);
      },
      during: async ({ db }) => {
        await db.collection('a').rename('was a');
        await db.collection('b').drop();
        await db.collection('b').insertMany(many(30, (i) => ({ _id: `new ${i}` })));
        await db.collection('d').rename('c', { dropTarget: true });
        await db.command({ collMod: 'e', validator: {} });
        await db.collection('made meanwhile').createIndex({ n: 1 });
        await db.collection('made meanwhile').insertOne(by(1));
        // An index on documents is ready when every voting member has built it: this one waits.
        building = db.collection('c').createIndex({ n: 1, pad: -1 });
        building.then(
          () => {
            built = true;
          },
          () => undefined,
        );
        await db.collection('c').insertOne(by('beside the build'), { writeConcern: { w: 'majority' } });
        expect(built).toBe(false);
      },
      copied: async ({ db }) => {
        expect(await building).toBe('n_1_pad_-1');
        await db.collection('was a').updateMany({}, { $set: { n: 2 } });
      },
      after: async (stage) => expectFrozen(stage),
    });
  });

  it('let go in the middle of the copy: capped order and all else are as at the source', async () => {
    const migration = await openMigration(pair(), freshName(), options);
    try {
      const { stage } = migration;
      await stage.db.createCollection('ring', { capped: true, size: 100_000, max: 60 });
      await stage.db.collection('ring').insertMany(many(80, (i) => ({ i, pad })));
      await stage.db.collection('c').insertMany(rows());
      await onAll(stage);
      await migration.copyHeld(2, async () => {
        for (const name of ['ring', 'c']) await stage.db.collection(name).updateMany({}, { $set: { n: 1 } });
        const answer = await migration.ask('unfreeze');
        expect(answer).toMatchObject({ already: false });
        await stage.db.collection('ring').insertMany(many(40, (i) => ({ i: 100 + i, pad })));
        await stage.db.collection('c').deleteMany({ _id: { $gte: 40 } } as never);
      });
      await migration.start();
      await migration.reach('verified');
      await migration.ask('cutover');
      await migration.stop();
      expect((await migration.compare()).differences).toEqual([]);
      expectFrozen(stage);
    } finally {
      await migration.close();
    }
  });
});
