/** The place where the torture happens: its namespaces, how they are laid out, and what an operation may use. */
import { Int32, Long } from 'bson';
import type { ClientSession, Collection, Db, Document, MongoClient } from 'mongodb';
import type { Rng } from './rng.ts';
import { type AnyId, anyDocument, idOf } from './values.ts';

/** A document whose `_id` may be of any type. */
export interface Any extends Document {
  _id: AnyId;
}

export interface TortureNames {
  readonly main: string;
  /** A second chosen database that is dropped and made again. */
  readonly scratch: string;
  /** Outside the choice: another business on the same cluster. */
  readonly neighbour: string;
}

/** The databases of a torture by its main one: the first two are chosen, the neighbour is not. */
export function tortureNames(db: string): TortureNames {
  return { main: db, scratch: `${db}_x`, neighbour: `${db}_n` };
}

export const MIXED = ['c0', 'c1', 'c2'] as const;
/** Collections that come, go, are renamed and rebuilt. */
export const SHIFTING = ['d0', 'd1', 'd2', 'd3', 'D3'] as const;
export const ACCOUNTS = 20;
export const ACCOUNT_START = 1000;
const POOL = 1200;
const HOT_ID = 'hot';

export interface Ledger {
  readonly attempted: Set<number>;
  readonly acknowledged: Set<number>;
}

/** What every operation gets. */
export interface World {
  readonly client: MongoClient;
  readonly names: TortureNames;
  readonly main: Db;
  readonly scratch: Db;
  readonly neighbour: Db;
  readonly ledger: Ledger;
  /** Set while the torture is asked to stop: operations that wait on purpose cut it short. */
  readonly signal: AbortSignal;
}

/** One of the ever-changing documents of the mixed collections. */
export function someId(rng: Rng): AnyId {
  return idOf(rng.int(POOL));
}

export function hotId(): AnyId {
  return HOT_ID;
}

/** A collection in the torture's loose typing: any `_id`, any document. */
export function at(db: Db, name: string): Collection<Any> {
  return db.collection<Any>(name);
}

export function mixed(world: World, rng: Rng): Collection<Any> {
  return at(world.main, rng.pick(MIXED));
}

export function shifting(world: World, rng: Rng): Collection<Any> {
  return at(world.main, rng.pick(SHIFTING));
}

/** Half of the writes do not wait for a majority: such writes are what a fail-over may roll back. */
export function someConcern(rng: Rng): { writeConcern: { w: 1 | 'majority' } } {
  return { writeConcern: { w: rng.chance(0.5) ? 1 : 'majority' } };
}

/** Runs `work` in a transaction of its own and ends the session whatever happens. */
export async function inTransaction(world: World, work: (session: ClientSession) => Promise<void>): Promise<void> {
  const session = world.client.startSession();
  try {
    session.startTransaction({ writeConcern: { w: 'majority' }, maxCommitTimeMS: 10_000 });
    await work(session);
    if (session.inTransaction()) await session.commitTransaction();
  } finally {
    if (session.inTransaction()) await session.abortTransaction().catch(() => {});
    await session.endSession();
  }
}

/** Lays everything out, with `documents` business documents spread over the mixed collections. */
export async function layOut(world: World, rng: Rng, documents: number): Promise<void> {
  const { main, neighbour } = world;
  await main.createCollection('ring', { capped: true, size: 64 * 1024, max: 200 });
  await main.createCollection('series', { timeseries: { timeField: 't', metaField: 'm', granularity: 'seconds' } });
  await main.createCollection('tidy', { clusteredIndex: { key: { _id: 1 }, unique: true, name: 'by id' } });
  await main.createCollection('folded', { collation: { locale: 'en', strength: 2 } });
  await main.createCollection('imaged', { changeStreamPreAndPostImages: { enabled: true } });
  await main.createCollection('checked', { validator: { $jsonSchema: { required: ['a'] } }, validationAction: 'warn' });
  await main.createCollection('ledger');
  await at(main, 'fleeting').createIndex({ at: 1 }, { expireAfterSeconds: 1, name: 'at_ttl' });
  await at(main, 'pairs').createIndex({ u: 1 }, { unique: true, name: 'u_unique' });
  await at(main, 'pairs').createIndex({ u: 1 }, { name: 'u_too', collation: { locale: 'fr' } });
  await at(main, 'pairs').insertMany(Array.from({ length: 20 }, (_, i) => ({ _id: i, u: `u${i}` })));
  await at(main, 'accounts').insertMany(
    Array.from({ length: ACCOUNTS }, (_, i) => ({ _id: i, balance: Long.fromNumber(ACCOUNT_START) })),
  );
  for (const name of MIXED) {
    await at(main, name).insertOne({ _id: HOT_ID, n: new Int32(0), recent: [] });
    await at(main, name).createIndex({ a: 1 });
    await fill(at(main, name), rng, Math.ceil(documents / MIXED.length));
  }
  await at(main, 'c0').createIndex({ arr: 1, a: -1 });
  await at(neighbour, 'own').insertMany(Array.from({ length: 50 }, (_, i) => ({ _id: i, n: new Int32(0) })));
}

async function fill(collection: Collection<Any>, rng: Rng, documents: number): Promise<void> {
  for (let done = 0; done < documents; done += 500) {
    const batch = Array.from({ length: Math.min(500, documents - done) }, (_, i) => ({
      // The pool first, so that the operations meet documents; then ids that only grow the collection.
      _id: done + i < POOL ? idOf(done + i) : `more-${rng.int(1e9)}-${done + i}`,
      ...anyDocument(rng),
    }));
    await collection.insertMany(batch, { ordered: false }).catch((error: { code?: number }) => {
      if (error.code !== 11_000) throw error; // the pool repeats its single values
    });
  }
}
