import { setTimeout as sleep } from 'node:timers/promises';
import { type Db, type Document, Double, Int32, type MongoClient, MongoServerError } from 'mongodb';

const DOCUMENTS = 1500;

/** Collections of several kinds, large enough for more than one chunk of a megabyte. */
export async function layOut(db: Db): Promise<void> {
  const docs = Array.from({ length: DOCUMENTS }, (_, i) => ({
    _id: i % 3 === 0 ? new Int32(i) : `id-${(i * 7919) % DOCUMENTS}-${i}`,
    n: i % 2 === 0 ? new Int32(i) : new Double(i),
    tags: [i % 7, i % 11],
    pad: 'x'.repeat(1000),
  }));
  await db.collection<Document>('orders').insertMany(docs as Document[]);
  await db.collection('orders').createIndexes([
    { key: { n: 1 }, unique: true, name: 'n_unique' },
    { key: { tags: 1 }, name: 'tags' },
    { key: { when: 1 }, expireAfterSeconds: 100_000_000, name: 'when_ttl' },
  ]);
  await db.createCollection('ring', { capped: true, size: 100_000, max: 50 });
  for (let i = 0; i < 20; i += 1) await db.collection('ring').insertOne({ i });
  await db.createCollection('recent', { viewOn: 'orders', pipeline: [{ $match: { n: { $gt: 10 } } }] });
  await db.collection('quiet').insertOne({ still: true });
  await db.collection('silent').insertOne({ still: true });
}

/** What happens while nobody follows: documents of every chunk, names that change places, indexes, options. */
export async function changeUnseen(db: Db): Promise<void> {
  const orders = db.collection<Document>('orders');
  await orders.updateMany({ n: { $mod: [50, 7] } }, { $set: { pad: 'changed unseen' } });
  await orders.deleteMany({ n: { $mod: [50, 8] } });
  await orders.insertMany(Array.from({ length: 30 }, (_, i) => ({ _id: `unseen-${i}`, n: -100 - i })) as Document[]);
  await orders.dropIndex('tags');
  await orders.createIndex({ tags: 1, n: 1 }, { name: 'tags_n' });
  await db.collection('quiet').insertOne({ of: 'quiet' });
  await db.collection('silent').insertOne({ of: 'silent' });
  await db.collection('quiet').rename('between');
  await db.collection('silent').rename('quiet');
  await db.collection('between').rename('silent');
  for (let i = 0; i < 5; i += 1) await db.collection('ring').insertOne({ unseen: i });
  await db.command({ collMod: 'recent', viewOn: 'orders', pipeline: [{ $match: { n: { $lt: 10 } } }] });
}

/** Somebody who writes all the time: documents, and now and then the structure. */
export class Writer {
  readonly #db: Db;
  #going = true;
  readonly #work: Promise<void>;
  writes = 0;

  constructor(client: MongoClient, dbName: string) {
    this.#db = client.db(dbName);
    this.#work = this.#go();
  }

  async stop(): Promise<void> {
    this.#going = false;
    await this.#work;
  }

  async #go(): Promise<void> {
    for (let i = 0; this.#going; i += 1) {
      try {
        await this.#once(i);
        this.writes += 1;
      } catch (error) {
        // A fence is up: that is how it looks to an application.
        if (!(error instanceof MongoServerError) || error.code !== 13) throw error;
      }
      await sleep(15);
    }
  }

  async #once(i: number): Promise<unknown> {
    const orders = this.#db.collection<Document>('orders');
    if (i % 25 === 0) {
      const name = `wave${(i / 25) % 3}`;
      await this.#db.collection(name).insertOne({ i });
      await this.#db.collection(name).createIndex({ i: 1 });
      if (i % 50 === 0) return this.#db.collection(name).rename('wave', { dropTarget: true });
      return this.#db.collection(name).drop();
    }
    switch (i % 5) {
      case 0:
        return orders.insertOne({ n: 1_000_000 + i, pad: 'new' });
      case 1:
        return orders.updateOne({ n: i % DOCUMENTS }, {
          $push: { tags: i },
          $set: { touched: new Int32(i) },
        } as Document);
      case 2:
        return orders.deleteOne({ n: (i * 13) % DOCUMENTS });
      case 3:
        return this.#db.collection('ring').insertOne({ i });
      default:
        return orders.updateMany({ n: { $lt: 20 } }, { $inc: { count: 1 } });
    }
  }
}
