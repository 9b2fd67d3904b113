/** A business with one of everything, and the steps that tests of mediums share. */
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import type { MongoClient } from 'mongodb';
import { afterAll, beforeAll } from 'vitest';
import type { ExportOptions, ImportOptions, MigrateOptions, RunEvent } from '../../src/routes/migrate/api.ts';
import { command, run } from '../../src/routes/migrate/index.ts';
import { RunStore } from '../../src/state/index.ts';
import { PLAIN } from '../e2e/migrate/plain-options.ts';
import { type ReplicaSet, type ReplicaSetOptions, startReplicaSet } from '../servers/index.ts';
import { compareClusters } from '../tools/compare-clusters.ts';
import { insertRaw } from '../tools/raw-insert.ts';
import { Rng } from '../torture/rng.ts';
import { anyDocument, idOf } from '../torture/values.ts';
import { largest, oddNumbers, oddTypes, zeroTime } from '../traps/odd-values.ts';

export interface World {
  readonly source: ReplicaSet;
  readonly target: ReplicaSet;
  /** For mediums and states; removed afterwards. */
  readonly dir: string;
  /** Everything that was told since the last look. */
  readonly events: RunEvent[];
}

type Hooks = Parameters<typeof run>[1];

const never: Hooks['signal'] = new AbortController().signal;

/** A pair of replica sets for a test file. */
export function useWorld(options: { source?: ReplicaSetOptions; target?: ReplicaSetOptions } = {}): () => World {
  let world: World | undefined;
  beforeAll(async () => {
    const own = { testCommands: true, cacheGB: 0.4 };
    const [source, target] = await Promise.all([
      startReplicaSet({ ...own, name: 'mediumsource', ...options.source }),
      startReplicaSet({ ...own, name: 'mediumtarget', ...options.target }),
    ]);
    world = { source, target, dir: mkdtempSync(join(tmpdir(), 'godwit-medium-')), events: [] };
  });
  afterAll(async () => {
    await Promise.all([world?.source.stop(), world?.target.stop()]);
    if (world) rmSync(world.dir, { recursive: true, force: true });
  });
  return () => {
    if (world === undefined) throw new Error('the world was asked for before it was made');
    return world;
  };
}

export function hooksOf(world: World, signal: Hooks['signal'] = never): Hooks {
  return { signal, onEvent: (event: RunEvent) => void world.events.push(event) };
}

/** Facts of the first event of a kind since the events were emptied. */
export function eventOf(world: World, kind: string): Record<string, unknown> | undefined {
  for (const event of world.events) if (event.type === 'event' && event.kind === kind) return event.data;
  return undefined;
}

export function runOptions(world: World, name: string, more: Partial<MigrateOptions> = {}): MigrateOptions {
  return {
    ...PLAIN,
    from: world.source.uri,
    to: world.target.uri,
    run: name,
    state: join(world.dir, 'state'),
    include: [name],
    lanes: 3,
    applyLanes: 4,
    chunkMb: 2,
    ...more,
  };
}

export function exportOptions(world: World, name: string, medium: string, more: Partial<ExportOptions> = {}) {
  const { to: _, ...options } = runOptions(world, name);
  return { ...options, medium: join(world.dir, medium), ...more } satisfies ExportOptions;
}

export function importOptions(world: World, name: string, medium: string, more: Partial<ImportOptions> = {}) {
  const { from: _, ...options } = runOptions(world, name);
  return { ...options, medium: join(world.dir, medium), ...more } satisfies ImportOptions;
}

/** Goes on from an import to the cutover; what the run itself found to differ is in the error. */
export async function cutOver(
  world: World,
  options: MigrateOptions,
  meanwhile: () => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const stop = new AbortController();
  let started = (): void => undefined;
  const lives = new Promise<void>((resolve) => {
    started = resolve;
  });
  const { onEvent } = hooksOf(world);
  const hooks = {
    signal: stop.signal,
    onEvent: (event: RunEvent) => {
      onEvent(event);
      if (event.type === 'status') started();
    },
  };
  const living = run(options, hooks).catch((error: unknown) => error);
  const ended = living.then((error) => Promise.reject(error));
  ended.catch(() => undefined);
  try {
    await Promise.race([lives, ended]);
    await meanwhile();
    const asked = command('cutover', { state: options.state, run: options.run }, {}, hooksOf(world));
    const answer = await Promise.race([asked, ended]);
    if (answer.phase !== 'switched') throw new Error(`the run is ${answer.phase}`);
  } catch (error) {
    throw new Error(JSON.stringify(driftOf(world, options.run)), { cause: error });
  } finally {
    stop.abort();
    await living;
  }
}

/** The first differences that a run's own proof found. */
export function driftOf(world: World, name: string): unknown {
  const store = RunStore.open(join(world.dir, 'state'), name, { readOnly: true });
  try {
    return store.drift(8);
  } finally {
    store.close();
  }
}

/** What the judge finds different between the two sides. */
export async function differences(world: World, databases: readonly string[]): Promise<string[]> {
  const verdict = await compareClusters(world.source.uri, world.target.uri, {
    include: (db) => databases.includes(db),
  });
  return verdict.documents > 0 || verdict.differences.length > 0
    ? verdict.differences
    : ['the judge saw no document at all'];
}

/** A name at the limit of the server: namespaces are at most 255 bytes. */
export function longestName(db: string): string {
  return 'ü/'.repeat(200).slice(0, Math.floor((255 - db.length - 1 - 'system.buckets.'.length) / 3) * 2);
}

export const ODD_NAME = 'a b%c+d:é"\'[]{}|<>?*&=.x~-_日本';

/** One collection of each kind, with documents of each type. */
export async function fillBusiness(client: MongoClient, name: string, documents = 400): Promise<void> {
  const db = client.db(name);
  const rng = new Rng(7);
  const things = db.collection('things');
  const seen = Array.from({ length: documents }, (_, n) => ({ ...anyDocument(rng), _id: idOf(n) as never }));
  // Some identities are equal to the server: the first of them stays.
  await things.insertMany(seen, { ordered: false }).catch((error: { code?: number }) => {
    if (error.code !== 11000) throw error;
  });
  await things.createIndexes([
    { key: { a: 1, b: -1 }, name: 'a_b' },
    { key: { 10: 1, 9: -1, b: 1 }, name: 'numbers in order' },
    { key: { txt: 'text' } },
    { key: { 'items.k': 1 }, partialFilterExpression: { a: { $gt: 5 } } },
    { key: { '$**': 1 }, name: 'wild' },
    { key: { h: 'hashed' } },
    { key: { loc: '2dsphere' } },
    { key: { b: 1 }, collation: { locale: 'de', strength: 2 }, name: 'collated' },
    { key: { seen: 1 }, expireAfterSeconds: 3600, sparse: true },
  ]);
  await insertRaw(client, `${name}.odd`, [...oddNumbers(0), ...oddTypes(100)]);
  await insertRaw(client, `${name}.c`, []).catch(() => undefined);
  await zeroTime(client, name, 1);
  await db.createCollection('empty', { validator: { $jsonSchema: { required: ['x'] } }, validationLevel: 'moderate' });
  await db.createCollection('collated', { collation: { locale: 'de', strength: 1 } });
  await db.collection('collated').insertMany(['Straße', 'a', 'ö'].map((id) => ({ _id: id as never, at: id })));
  await db.collection('collated').createIndex({ at: 1 }, { unique: true });
  await db.createCollection('clustered', { clusteredIndex: { key: { _id: 1 }, unique: true, name: 'mine' } });
  await db.collection('clustered').insertMany(Array.from({ length: 50 }, (_, n) => ({ _id: n as never, n })));
  await db.createCollection('capped', { capped: true, size: 64 * 1024, max: 200 });
  await db.collection('capped').insertMany(Array.from({ length: 300 }, (_, n) => ({ n, text: 'c'.repeat(40) })));
  await db.createCollection('series', {
    timeseries: { timeField: 'at', metaField: 'm' },
    expireAfterSeconds: 100_000_000,
  });
  await db
    .collection('series')
    .insertMany(Array.from({ length: 200 }, (_, n) => ({ at: new Date(Date.now() - n * 1000), m: n % 7, v: n })));
  await db.collection('series').createIndex({ m: 1, at: 1 });
  await db.createCollection('view', {
    viewOn: 'things',
    pipeline: [{ $match: { a: { $gt: 3 } } }, { $addFields: { 2: 1, 1: 2 } }],
  });
  await db.createCollection('view of view', { viewOn: 'view', pipeline: [] });
  await db.collection(longestName(name)).insertMany([{ long: 1 }, { long: 2 }]);
  await db.collection(ODD_NAME).insertOne({ odd: true });
  await db.collection('unique').createIndex({ u: 1 }, { unique: true });
  await db.collection('unique').insertMany(Array.from({ length: 40 }, (_, n) => ({ _id: n as never, u: n })));
}

/** A document of exactly 16 MiB, and some that do not fit into a message together. */
export async function fillLarge(client: MongoClient, name: string): Promise<void> {
  for (let n = 0; n < 3; n += 1) await insertRaw(client, `${name}.large`, [largest(`large${n}`)]);
  const text = 'm'.repeat(7 * 1024 * 1024);
  for (let n = 0; n < 5; n += 1)
    await client
      .db(name)
      .collection('large')
      .insertOne({ _id: n as never, text });
}

/** Changes of every simple kind, for a log that has to be led on. */
export async function change(client: MongoClient, name: string, mark: string): Promise<void> {
  const db = client.db(name);
  const things = db.collection('things');
  await things.updateMany(
    { a: { $lt: 300 } },
    { $set: { changed: mark }, $inc: { times: 1 }, $push: { arr: 9 } as never },
  );
  await things.deleteMany({ a: { $gt: 900 } });
  await things.insertMany(
    Array.from({ length: 30 }, (_, n) => ({ _id: `${mark}-${n}` as never, a: n, seen: new Date() })),
  );
  await db.collection('capped').insertMany(Array.from({ length: 20 }, (_, n) => ({ n, mark })));
  await db.collection('series').insertOne({ at: new Date(), m: 3, v: 1, mark });
  await db.collection('clustered').updateOne({ _id: 7 as never }, { $set: { mark } });
  await db.collection('clustered').deleteOne({ _id: 8 as never });
  // Values change hands between documents.
  const unique = db.collection('unique');
  await unique.updateOne({ _id: 1 as never }, { $set: { u: -1 } });
  await unique.updateOne({ _id: 2 as never }, { $set: { u: 1 } });
  await unique.updateOne({ _id: 1 as never }, { $set: { u: 2 } });
  await unique.updateOne({ _id: 2 as never }, { $set: { u: -2 } });
  await unique.updateOne({ _id: 1 as never }, { $set: { u: 1 } });
  await unique.updateOne({ _id: 2 as never }, { $set: { u: 2 } });
  const session = client.startSession();
  try {
    await session.withTransaction(async () => {
      await things.insertOne({ _id: `${mark}-tx` as never, a: 1 }, { session });
      await db.collection(ODD_NAME).insertOne({ mark }, { session });
    });
  } finally {
    await session.endSession();
  }
  await db.collection(`new-${mark}`).insertOne({ mark });
  await things.createIndex({ changed: 1 });
}
