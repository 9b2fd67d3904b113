import { setTimeout as sleep } from 'node:timers/promises';
import { Long } from 'bson';
import type { Kind } from '../kind.ts';
import { anyDocument, objectId } from '../values.ts';
import { ACCOUNTS, at, inTransaction, MIXED, mixed, someId } from '../world.ts';

/** Transactions of every size and end. */
export const TRANSACTION_KINDS: readonly Kind[] = [
  {
    // The sum over all accounts never changes; half a transfer on the target would show.
    name: 'transfer',
    weight: 20,
    run: async (world, rng) => {
      const accounts = at(world.main, 'accounts');
      const [from, to] = rng.shuffled([...Array(ACCOUNTS).keys()]).slice(0, 2) as [number, number];
      const amount = Long.fromNumber(rng.between(1, 50));
      await inTransaction(world, async (session) => {
        await accounts.updateOne({ _id: from }, { $inc: { balance: amount.negate() } }, { session });
        await accounts.updateOne({ _id: to }, { $inc: { balance: amount } }, { session });
      });
    },
  },
  {
    name: 'txnMany',
    weight: 5,
    run: (world, rng) =>
      inTransaction(world, async (session) => {
        const id = objectId(rng);
        for (const name of MIXED) {
          await at(world.main, name).insertOne({ _id: id, ...anyDocument(rng) }, { session });
          await at(world.main, name).updateOne({ _id: id }, { $set: { a: -1 } }, { session });
        }
        await at(world.main, 'c0').deleteOne({ _id: id }, { session });
        await at(world.neighbour, 'own').updateOne({ _id: rng.int(50) }, { $inc: { n: 1 } }, { session });
      }),
  },
  {
    // All of it in one document: the log tells the last value only through a chain of changes.
    name: 'txnSameDocument',
    weight: 4,
    run: (world, rng) =>
      inTransaction(world, async (session) => {
        const [collection, id] = [mixed(world, rng), someId(rng)];
        await collection.deleteOne({ _id: id }, { session });
        await collection.insertOne({ _id: id, ...anyDocument(rng) }, { session });
        await collection.updateOne({ _id: id }, { $set: { 'sub.x': 'in' }, $push: { arr: 1 } } as never, { session });
      }),
  },
  {
    name: 'txnAbort',
    weight: 4,
    run: (world, rng) =>
      inTransaction(world, async (session) => {
        await mixed(world, rng).insertOne({ _id: objectId(rng), ghost: true }, { session });
        await mixed(world, rng).updateOne({ _id: someId(rng) }, { $set: { ghost: true } }, { session });
        await session.abortTransaction();
      }),
  },
  {
    name: 'txnEmpty',
    weight: 1,
    run: (world, rng) =>
      inTransaction(
        world,
        async (session) => void (await mixed(world, rng).findOne({ _id: someId(rng) }, { session })),
      ),
  },
  {
    // Open across whatever else happens meanwhile: the start of a copy, a checkpoint, a change of structure.
    name: 'txnOpen',
    weight: 1.5,
    run: (world, rng) =>
      inTransaction(world, async (session) => {
        await at(world.main, 'accounts').findOne({ _id: 0 }, { session });
        await mixed(world, rng).insertOne({ _id: objectId(rng), waited: true }, { session });
        await sleep(1000, undefined, { signal: world.signal }).catch(() => {});
        await mixed(world, rng).insertOne({ _id: objectId(rng), waited: true }, { session });
      }),
  },
  {
    // More than 16 MB: the log chains several entries, of which only the last one commits.
    name: 'txnChain',
    weight: 0.15,
    run: (world, rng) =>
      inTransaction(world, async (session) => {
        const text = 'C'.repeat(1 << 20);
        for (let i = 0; i < 18; i += 1) {
          await at(world.main, 'c2').updateOne(
            { _id: `chain${i}` },
            { $set: { text, n: rng.int(99) } },
            { session, upsert: true },
          );
        }
        await at(world.main, 'c2').updateMany({ _id: /^chain/ }, { $unset: { text: 1 } } as never, { session });
      }),
  },
  {
    name: 'txnChainAbort',
    weight: 0.1,
    run: (world) =>
      inTransaction(world, async (session) => {
        const text = 'C'.repeat(1 << 20);
        for (let i = 0; i < 17; i += 1) await at(world.main, 'c2').insertOne({ _id: `aborted${i}`, text }, { session });
        await session.abortTransaction();
      }),
  },
  {
    // Collections and indexes may be made inside a transaction, too.
    name: 'txnCreate',
    weight: 1,
    run: async (world, rng) => {
      const name = `born${rng.int(3)}`;
      await at(world.main, name).drop();
      await inTransaction(world, async (session) => {
        await world.main.createCollection(name, { session });
        await at(world.main, name).createIndex({ a: 1 }, { session });
        await at(world.main, name).insertOne({ _id: 1, ...anyDocument(rng) }, { session });
      });
    },
  },
];
