/**
 * A process of an application that kills itself at one of its round trips to
 * the database: it writes one customer through the library, carries that to
 * the old table, deletes the customer, and carries that. What the database has
 * acknowledged it says at once, so that nothing of it is lost with the process.
 */
import { writeSync } from 'node:fs';
import type { ClientSession } from 'mongodb';
import type pg from 'pg';
import type { Model, RemodelStore } from '../../../src/kernel/remodel/index.ts';
import { createGodwit, type Godwit, mongoStore, postgresStore } from '../../../src/routes/remodel/library/index.ts';
import { mongoSubs, pgSubs } from './killed.fixture.ts';

/** `before`: the statement is never sent. `sent`: it is, and nobody hears the answer. */
export type KillMode = 'before' | 'sent' | 'never';

interface Order {
  readonly uri: string;
  readonly id: number;
  readonly mode: KillMode;
  /** At which round trip, from 1. */
  readonly at: number;
}

/** Counts round trips of the customer's transactions and strikes. */
class Striker {
  /** Of each round trip, whether it was a commit. */
  readonly trips: boolean[] = [];
  armed = false;
  readonly #order: Order;

  constructor(order: Order) {
    this.#order = order;
  }

  /** Called right before a statement is sent. */
  next(isCommit: boolean): void {
    if (!this.armed) return;
    this.trips.push(isCommit);
    if (this.trips.length !== this.#order.at) return;
    if (this.#order.mode === 'before') process.kill(process.pid, 'SIGKILL');
    // By then it is on its way; what the server makes of it is open.
    if (this.#order.mode === 'sent') setTimeout(() => process.kill(process.pid, 'SIGKILL'), 1);
  }
}

interface World {
  readonly store: RemodelStore<never>;
  readonly model: Model;
  write(): Promise<void>;
  remove(): Promise<void>;
  close(): Promise<void>;
}

const say = (word: string) => writeSync(1, `${word}\n`);

async function onPostgres({ uri, id }: Order, striker: Striker): Promise<World> {
  const { Pool } = (await import('pg')).default;
  const pool = new Pool({ connectionString: uri });
  const mine = new Pool({ connectionString: uri, max: 2 });
  mine.on('connect', (client) => {
    const query = client.query.bind(client) as (...args: unknown[]) => unknown;
    client.query = ((...args: unknown[]) => {
      const [first] = args;
      striker.next(first === 'commit' || (first as { text?: unknown } | undefined)?.text === 'commit');
      return query(...args);
    }) as typeof client.query;
  });
  const godwit = await createGodwit({ store: postgresStore({ pool }), migrations: [pgSubs], relay: false });
  const store = await postgresStore({ pool: mine }).open();
  const inTransaction = async (work: (tx: pg.PoolClient) => Promise<unknown>) => {
    const client = await mine.connect();
    await client.query('begin');
    await work(client);
    await client.query('commit');
    client.release();
  };
  return {
    store: store as unknown as RemodelStore<never>,
    model: pgSubs,
    write: () => inTransaction((tx) => changeBy(godwit as Godwit<unknown>, id, tx)),
    remove: () => inTransaction((tx) => godwit.write(pgSubs, id, tx, (m) => m.delete())),
    close: async () => {
      await godwit.close();
      await Promise.all([pool.end(), mine.end()]);
    },
  };
}

async function onMongo({ uri, id }: Order, striker: Striker): Promise<World> {
  const { MongoClient } = await import('mongodb');
  const client = await MongoClient.connect(uri, { monitorCommands: true });
  const db = 'shop';
  // Only commands inside a transaction: the others are this process's lease and its look at the control record.
  client.on('commandStarted', ({ command }) => {
    if (command['autocommit'] === false) striker.next(command['commitTransaction'] !== undefined);
  });
  const godwit = await createGodwit({ store: mongoStore({ client, db }), migrations: [mongoSubs], relay: false });
  const store = await mongoStore({ client, db }).open();
  const inTransaction = (work: (tx: ClientSession) => Promise<unknown>) =>
    client.withSession((session) => session.withTransaction(() => work(session)));
  return {
    store: store as unknown as RemodelStore<never>,
    model: mongoSubs,
    write: async () => void (await inTransaction((tx) => changeBy(godwit as Godwit<unknown>, id, tx))),
    remove: async () => void (await inTransaction((tx) => godwit.write(mongoSubs, id, tx, (m) => m.delete()))),
    close: async () => {
      await godwit.close();
      await store.close();
      await client.close();
    },
  };
}

/** Both definitions have the same columns. */
function changeBy(godwit: Godwit<unknown>, id: number, tx: unknown): Promise<void> {
  const model = (process.env['STORE'] === 'mongodb' ? mongoSubs : pgSubs) as typeof pgSubs;
  return godwit.write(model, id, tx, async (m) => {
    await m.customer.set({ email: 'changed' });
    const [sub] = await m.subscription.list();
    await m.subscription.update(sub?.id as string, { plan: 'changed' });
  });
}

const order = JSON.parse(process.env['ORDER'] as string) as Order;
const striker = new Striker(order);
const world = await (process.env['STORE'] === 'mongodb' ? onMongo : onPostgres)(order, striker);
const { store, model } = world;
// What a process reads once, it has read by now.
await store.backlog(model);
striker.armed = true;
await world.write();
say('written');
await store.relay(model, 1, [String(order.id)]);
say('carried');
await world.remove();
say('removed');
await store.relay(model, 1, [String(order.id)]);
say('carried away');
striker.armed = false;
say(JSON.stringify(striker.trips));
await world.close();
