/** Traps in transactions and sessions: many entries, one commit; and readers who see either all of it or nothing. */
import { serialize, Timestamp } from 'bson';
import type { ClientSession, Document, MongoClient } from 'mongodb';
import { describe, expect, it } from 'vitest';
import {
  Cluster,
  makeSelection,
  OplogApplier,
  OplogSource,
  readCatalog,
  trackedOf,
} from '../../src/adapters/mongodb/index.ts';
import type { Position } from '../../src/kernel/position.ts';
import { POSITION_ZERO } from '../../src/kernel/position.ts';
import { freshName, migrateScenario, usePair } from './harness.ts';
import { prepare } from './prepare.ts';
import { uuidOf } from './raw.ts';

const pair = usePair();
const many = (count: number, of: (i: number) => Document): never[] =>
  Array.from({ length: count }, (_, i) => of(i)) as never[];
const by = (id: unknown): never => ({ _id: id }) as never;
const pad = 'x'.repeat(80);
const rows = (): never[] => many(80, (i) => ({ _id: i, n: 0, pad }));

/** Runs `work` in a transaction that is left open. */
async function open(client: MongoClient, work: (session: ClientSession) => Promise<unknown>): Promise<ClientSession> {
  const session = client.startSession();
  session.startTransaction();
  await work(session);
  return session;
}

describe('transactions and sessions', () => {
  it('a transaction of several log entries', { timeout: 240_000 }, () => {
    const large = async (
      { source, db }: { source: MongoClient; db: import('mongodb').Db },
      round: number,
    ): Promise<void> => {
      const session = await open(source, async (s) => {
        for (let i = 0; i < 20; i += 1) {
          await db
            .collection('c')
            .insertOne({ _id: `${round} ${i}`, pad: 'y'.repeat(1024 * 1024) } as never, { session: s });
          await db.collection('c').updateOne(by(i), { $inc: { n: 1 } }, { session: s });
        }
        await db.collection('d').deleteMany({ _id: { $lt: 5 + round } } as never, { session: s });
        await db.collection('c').updateOne(by(`${round} 3`), { $set: { pad: 'changed in it' } }, { session: s });
      });
      await session.commitTransaction();
      await session.endSession();
      const parts = await source
        .db('local')
        .collection('oplog.rs')
        .countDocuments({ 'o.partialTxn': true, 'o.applyOps.ns': `${db.databaseName}.c` });
      expect(parts).toBeGreaterThanOrEqual(round);
    };
    return migrateScenario({
      pair: pair(),
      applyTwice: true,
      before: async ({ db }) => {
        await db.collection('c').insertMany(rows());
        await db.collection('d').insertMany(rows());
      },
      during: (stage) => large(stage, 1),
      copied: (stage) => large(stage, 2),
      flowing: (stage) => large(stage, 3),
    });
  });

  it('prepared transactions, committed and aborted', async () => {
    const sessions: ClientSession[] = [];
    const commits: (() => Promise<unknown>)[] = [];
    const begin = async (source: MongoClient, db: import('mongodb').Db, id: string, commit: boolean): Promise<void> => {
      const session = await open(source, async (s) => {
        await db.collection('c').insertOne({ _id: id } as never, { session: s });
        await db.collection('c').updateOne(by(sessions.length), { $set: { by: id } }, { session: s });
      });
      const finish = await prepare(source, session);
      sessions.push(session);
      commits.push(commit ? finish : () => session.abortTransaction());
    };
    await migrateScenario({
      pair: pair(),
      before: async ({ db }) => db.collection('c').insertMany(rows()),
      during: async ({ source, db }) => {
        await begin(source, db, 'committed in the copy', true);
        await commits[0]?.();
        await begin(source, db, 'aborted in the copy', false);
        await commits[1]?.();
        await begin(source, db, 'committed later', true);
        await begin(source, db, 'aborted later', false);
      },
      copied: async ({ db }) => {
        await db.collection('c').insertOne(by('between'));
        await commits[2]?.();
        await commits[3]?.();
      },
      flowing: async ({ source, db, caughtUp }) => {
        await begin(source, db, 'while it flows', true);
        // Its parts are remembered over a checkpoint.
        await caughtUp();
        await commits[4]?.();
      },
      after: async ({ copy }) => {
        const ids = (
          await copy
            .collection('c')
            .find({ _id: { $type: 'string' } })
            .sort({ _id: 1 })
            .toArray()
        ).map(({ _id }) => String(_id));
        expect(ids).toEqual(['between', 'committed in the copy', 'committed later', 'while it flows']);
      },
    });
    for (const session of sessions) await session.endSession();
  });

  it('an empty applyOps', async () => {
    const sessions: ClientSession[] = [];
    await migrateScenario({
      pair: pair(),
      before: async ({ db }) => db.collection('c').insertMany(rows()),
      during: async ({ source, db }) => {
        await source
          .db('admin')
          .command({ applyOps: [] })
          .catch(() => undefined);
        // One that only read: prepared, it is an entry without operations.
        const session = await open(source, (s) => db.collection('c').findOne(by(1), { session: s }));
        await (await prepare(source, session))();
        sessions.push(session);
        const empty = await source
          .db('local')
          .collection('oplog.rs')
          .countDocuments({ op: 'c', 'o.applyOps': { $size: 0 } });
        expect(empty).toBeGreaterThan(0);
      },
      flowing: async ({ db }) => db.collection('c').insertOne(by('after')),
    });
    for (const session of sessions) await session.endSession();
  });

  it('nested applyOps', () =>
    migrateScenario({
      pair: pair(),
      before: async ({ db }) => db.collection('c').insertMany(rows()),
      during: async ({ source, name }) => {
        const insert = (i: string): Document => ({ op: 'i', ns: `${name}.c`, o: { _id: i, nested: true } });
        const nested = { op: 'c', ns: 'admin.$cmd', o: { applyOps: [insert('inner 1'), insert('inner 2')] } };
        await source.db('admin').command({ applyOps: [insert('outer'), nested] });
      },
      flowing: async ({ source, name }) => {
        const ops = [
          {
            op: 'c',
            ns: 'admin.$cmd',
            o: { applyOps: [{ op: 'u', ns: `${name}.c`, o2: { _id: 1 }, o: { $v: 2, diff: { u: { n: 9 } } } }] },
          },
          {
            op: 'c',
            ns: `${name}.$cmd`,
            o: { create: 'made by it', idIndex: { v: 2, key: { _id: 1 }, name: '_id_' } },
          },
          { op: 'd', ns: `${name}.c`, o: { _id: 2 } },
        ];
        await source.db('admin').command({ applyOps: ops });
      },
      after: async ({ copy }) => {
        expect(await copy.collection('c').countDocuments({ nested: true })).toBe(3);
      },
    }));

  it('entries as later servers write them: vectored inserts, applyOps inside applyOps', async () => {
    const name = freshName();
    const [source, target] = [await pair().source.client(), await pair().target.client()];
    for (const client of [source, target]) await client.db(name).createCollection('c');
    const ui = await uuidOf(source, name, 'c');
    const lsid = { id: ui, uid: ui };
    const insert = (i: number): Document => ({ op: 'i', ns: `${name}.c`, ui, o: { _id: i, a: 1 }, o2: { _id: i } });
    // As MongoDB 8.0 logs an insertMany: no transaction, several of them in a row with one session.
    const vectored = (n: number, from: number): Document => ({
      ...(n === 3
        ? {}
        : { lsid, txnNumber: 1n, prevOpTime: { ts: new Timestamp({ t: 0, i: 0 }), t: -1n }, multiOpType: 1 }),
      op: 'c',
      ns: 'admin.$cmd',
      o: { applyOps: [insert(from), insert(from + 1)] },
      ts: new Timestamp({ t: 0xf0000000, i: n }),
      t: 1n,
      v: 2n,
      wall: new Date(),
    });
    const nested = {
      ...vectored(4, 0),
      o: { applyOps: [{ op: 'c', ns: 'admin.$cmd', o: { applyOps: [insert(100), insert(101)] } }] },
    };
    await withApplier(name, async (applier) => {
      const bytes = Buffer.concat(
        [vectored(1, 0), vectored(2, 10), vectored(3, 20), nested].map((entry) => Buffer.from(serialize(entry))),
      );
      const block = { first: 'f000000000000001' as Position, last: 'f000000000000004' as Position, count: 4, bytes };
      for await (const _ of applier.apply(block, new AbortController().signal));
    });
    const ids = (await target.db(name).collection('c').find().sort({ _id: 1 }).toArray()).map(({ _id }) => Number(_id));
    expect(ids).toEqual([0, 1, 10, 11, 20, 21, 100, 101]);
    // An operation of later servers that is not known must stop the run, never be passed over.
    await withApplier(name, async (applier) => {
      const unknown = {
        op: 'xi',
        ns: `${name}.c`,
        ui,
        o: { _id: 1 },
        ts: new Timestamp({ t: 0xf0000001, i: 1 }),
        wall: new Date(),
      };
      const at = 'f000000100000001' as Position;
      const apply = async (): Promise<void> => {
        const block = { first: at, last: at, count: 1, bytes: Buffer.from(serialize(unknown)) };
        for await (const _ of applier.apply(block, new AbortController().signal));
      };
      await expect(apply()).rejects.toMatchObject({ code: 'GW5003' });
    });
  });

  it('transfers are whole on the target at every batch boundary', async () => {
    const name = freshName();
    const [source, target] = [await pair().source.client(), await pair().target.client()];
    const accounts = source.db(name).collection('accounts');
    await accounts.insertMany(many(40, (i) => ({ _id: i, balance: 100 })));
    await target
      .db(name)
      .collection('accounts')
      .insertMany(many(40, (i) => ({ _id: i, balance: 100 })));
    const sums: number[] = [];
    let versions = 0;
    await withApplier(name, async (applier, { cluster, from }) => {
      const writing = (async () => {
        for (let i = 0; i < 120; i += 1) {
          await source.withSession((session) =>
            session.withTransaction(async () => {
              await accounts.updateOne(by(i % 40), { $inc: { balance: -7 } }, { session });
              await accounts.updateOne(by((i * 7 + 1) % 40), { $inc: { balance: 7 } }, { session });
            }),
          );
        }
        return cluster.note({ test: 'end' });
      })();
      const stop = new AbortController();
      const oplog = new OplogSource({ cluster, selection: makeSelection([name], [], []), readFrom: 'primary' });
      let end: Position | undefined;
      writing.then(
        (position) => (end = position),
        () => stop.abort(),
      );
      let last = '';
      for await (const block of oplog.stream(from, stop.signal)) {
        for await (const applied of applier.apply(block, stop.signal)) {
          // What a reader of the target sees at the time that is told for this position.
          const at = new Timestamp({
            t: Number.parseInt(applied.targetPosition.slice(0, 8), 16),
            i: Number.parseInt(applied.targetPosition.slice(8), 16),
          });
          const { cursor } = await target
            .db(name)
            .command({ find: 'accounts', batchSize: 100, readConcern: { level: 'snapshot', atClusterTime: at } });
          const docs = cursor.firstBatch as { balance: number }[];
          sums.push(docs.reduce((sum, { balance }) => sum + balance, 0));
          const version = docs.map(({ balance }) => balance).join();
          if (version !== last) versions += 1;
          last = version;
        }
        if (end !== undefined && block.last >= end) break;
      }
      await writing;
    });
    expect(new Set(sums)).toEqual(new Set([4000]));
    // It must have been read while it changed, or the constant sum would say nothing.
    expect(versions).toBeGreaterThan(3);
  });
});

/** An applier over the pair, from now on, without the route around it. */
async function withApplier(
  name: string,
  work: (applier: OplogApplier, ends: { cluster: Cluster; from: Position }) => Promise<void>,
): Promise<void> {
  const { signal } = new AbortController();
  const cluster = await Cluster.connect('source', pair().source.uri);
  const target = await Cluster.connect('target', pair().target.uri);
  try {
    const selection = makeSelection([name], [], []);
    const catalog = await readCatalog(cluster, selection, signal);
    const applier = await OplogApplier.open(
      {
        source: cluster,
        target,
        selection,
        lanes: 4,
        memory: {
          collections: catalog.collections.map((spec) =>
            trackedOf(spec, selection.target(spec.db, spec.name), catalog.position),
          ),
          transactions: [],
        },
        after: catalog.position,
        structureAsOf: catalog.position,
        fuzzyUntil: POSITION_ZERO,
        adopt: () => Promise.reject(new Error('nothing is to be taken in')),
        reconcileViews: async () => undefined,
      },
      signal,
    );
    try {
      await work(applier, { cluster, from: catalog.position });
    } finally {
      applier.close();
    }
  } finally {
    await Promise.all([cluster.close(), target.close()]);
  }
}
