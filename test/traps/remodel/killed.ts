/**
 * A process of an application with many transactions under way, each stopped
 * at another round trip to the database: a write through the library, the relay
 * that carries it to the old table, a deletion, and its relay. When all have
 * come to their place, the process kills itself. What the database has
 * acknowledged it says at once, so that nothing of it is lost with the process.
 */
import { AsyncLocalStorage } from 'node:async_hooks';
import { writeSync } from 'node:fs';
import { createRequire } from 'node:module';
import type { ClientSession } from 'mongodb';
import type pg from 'pg';
import { createGodwit, mongoStore, postgresStore } from '../../../src/routes/remodel/library/index.ts';
import { mongoSubs, pgSubs } from './killed.fixture.ts';

/** The customer that is carried through to the end, to count its round trips. */
export const UNHARMED = 1_000;

/** `before`: round trip `at` (from 1) is never sent. `sent`: commit `at` is, and nobody hears the answer. */
export interface Place {
  readonly id: number;
  readonly mode: 'before' | 'sent';
  readonly at: number;
}

/** Lines that the process writes, as JSON. */
export type Said =
  | { readonly kind: 'places'; readonly places: readonly Place[]; readonly trips: number }
  | { readonly kind: 'step'; readonly id: number; readonly step: 'written' | 'carried' | 'removed' | 'carried away' }
  | { readonly kind: 'all at their places' };

const say = (said: Said) => writeSync(1, `${JSON.stringify(said)}\n`);

/** One customer's way. */
class Walk {
  trips = 0;
  commits = 0;
  readonly arrived: Promise<void>;
  readonly #place: Place | undefined;
  readonly #gate: Promise<void>;
  #arrive: () => void = () => undefined;

  constructor(place: Place | undefined, gate: Promise<void>) {
    this.#place = place;
    this.#gate = gate;
    this.arrived = new Promise((resolve) => {
      this.#arrive = resolve;
    });
  }

  /** Awaited before a statement is sent. */
  async next(isCommit: boolean): Promise<void> {
    this.trips += 1;
    if (isCommit) this.commits += 1;
    const { mode, at } = this.#place ?? {};
    const isHere = mode === 'before' ? this.trips === at : mode === 'sent' && isCommit && this.commits === at;
    if (!isHere) return;
    this.#arrive();
    await (mode === 'sent' ? this.#gate : new Promise(() => undefined));
  }
}

const walks = new AsyncLocalStorage<Walk>();

interface World {
  write(id: number): Promise<unknown>;
  remove(id: number): Promise<unknown>;
  relay(id: number): Promise<unknown>;
}

async function onPostgres(uri: string): Promise<World> {
  const { Client, Pool } = (await import('pg')).default;
  const query = Client.prototype.query as (...args: unknown[]) => unknown;
  // Only statements whose promise is awaited are part of a walk; the pool's own use callbacks.
  Client.prototype.query = function (this: pg.Client, ...args: unknown[]) {
    const walk = walks.getStore();
    if (walk === undefined || typeof args.at(-1) === 'function') return query.apply(this, args);
    const text = typeof args[0] === 'string' ? args[0] : (args[0] as { text?: string }).text;
    return walk.next(text === 'commit').then(() => query.apply(this, args));
  } as typeof Client.prototype.query;
  const pool = new Pool({ connectionString: uri, max: 80 });
  const godwit = await createGodwit({ store: postgresStore({ pool }), migrations: [pgSubs], relay: false });
  const store = await postgresStore({ pool }).open();
  // What a process reads once, it has read by now.
  await store.backlog(pgSubs);
  const inTransaction = async (work: (tx: pg.PoolClient) => Promise<unknown>) => {
    const client = await pool.connect();
    await client.query('begin');
    await work(client);
    await client.query('commit');
    client.release();
  };
  return {
    write: (id) =>
      inTransaction((tx) =>
        godwit.write(pgSubs, id, tx, async (m) => {
          await m.customer.set({ email: 'changed' });
          const [sub] = await m.subscription.list();
          await m.subscription.update(sub?.id as string, { plan: 'changed' });
        }),
      ),
    remove: (id) => inTransaction((tx) => godwit.write(pgSubs, id, tx, (m) => m.delete())),
    relay: (id) => store.relay(pgSubs, 1, [String(id)]),
  };
}

interface Sends {
  command(ns: unknown, command: object, options?: { session?: ClientSession }, ...rest: unknown[]): Promise<unknown>;
}

async function onMongo(uri: string): Promise<World> {
  const { MongoClient } = await import('mongodb');
  const { Connection } = createRequire(import.meta.url)('mongodb/lib/cmap/connection.js') as {
    Connection: { prototype: Sends };
  };
  const { command: send } = Connection.prototype;
  Connection.prototype.command = async function (this: Sends, ns, command, options, ...rest) {
    const isCommit = 'commitTransaction' in command;
    if (isCommit || options?.session?.inTransaction()) await walks.getStore()?.next(isCommit);
    return send.call(this, ns, command, options, ...rest);
  };
  const client = await MongoClient.connect(uri);
  const db = 'shop';
  const godwit = await createGodwit({ store: mongoStore({ client, db }), migrations: [mongoSubs], relay: false });
  const store = await mongoStore({ client, db }).open();
  const inTransaction = (work: (tx: ClientSession) => Promise<unknown>) =>
    client.withSession((session) => session.withTransaction(() => work(session)));
  return {
    write: (id) =>
      inTransaction((tx) =>
        godwit.write(mongoSubs, id, tx, async (m) => {
          await m.customer.set({ email: 'changed' });
          const [sub] = await m.subscription.list();
          await m.subscription.update(sub?.id as string, { plan: 'changed' });
        }),
      ),
    remove: (id) => inTransaction((tx) => godwit.write(mongoSubs, id, tx, (m) => m.delete())),
    relay: (id) => store.relay(mongoSubs, 1, [String(id)]),
  };
}

async function walkAll(world: World, id: number): Promise<void> {
  await world.write(id);
  say({ kind: 'step', id, step: 'written' });
  await world.relay(id);
  say({ kind: 'step', id, step: 'carried' });
  await world.remove(id);
  say({ kind: 'step', id, step: 'removed' });
  await world.relay(id);
  say({ kind: 'step', id, step: 'carried away' });
}

async function main(uri: string, store: string): Promise<void> {
  const world = await (store === 'mongodb' ? onMongo : onPostgres)(uri);
  let open: () => void = () => undefined;
  const gate = new Promise<void>((resolve) => {
    open = resolve;
  });
  const whole = new Walk(undefined, gate);
  await walks.run(whole, () => walkAll(world, UNHARMED));
  // Of a statement that is no commit it makes no difference whether the server had it before the process died.
  const places = [
    ...Array.from({ length: whole.trips }, (_, i) => ({ id: i + 1, mode: 'before' as const, at: i + 1 })),
    ...Array.from({ length: whole.commits }, (_, i) => ({ id: whole.trips + i + 1, mode: 'sent' as const, at: i + 1 })),
  ];
  say({ kind: 'places', places, trips: whole.trips });
  await Promise.all(
    places.map((place) => {
      const walk = new Walk(place, gate);
      const walking = walks.run(walk, () => walkAll(world, place.id));
      const passed = walking.then(() => {
        throw new Error(`A walk never came to its place: ${place.mode} ${place.at}`);
      });
      return Promise.race([walk.arrived, passed]);
    }),
  );
  say({ kind: 'all at their places' });
  open();
  // By then the commits are on their way; what the server makes of them is open.
  setImmediate(() => process.kill(process.pid, 'SIGKILL'));
}

if (process.env['KILLED_URI'] !== undefined)
  await main(process.env['KILLED_URI'], process.env['KILLED_STORE'] as string);
