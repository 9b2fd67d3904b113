import { type ClientSession, Long, type MongoClient } from 'mongodb';
import {
  bigint,
  defineMigration,
  type Entered,
  integer,
  json,
  type Model,
  mongoCollection,
  type Row,
  text,
  uuid,
} from '../../../kernel/remodel/index.ts';
import { MongoRemodelStore } from './store.ts';

export type Policy = 'pick' | 'block' | 'overflow';

/** Customers with their subscription inside → customers and a list of subscriptions. */
export function customersModel(policy: Policy = 'pick', name = 'customer-subscriptions') {
  const choose = (rows: readonly Row[]) => rows.at(-1) as Row;
  return defineMigration({
    name,
    key: 'customerId',
    from: mongoCollection('customers', {
      customerId: bigint().named('_id'),
      email: text(),
      plan: text().nullable().named('subscription.plan'),
      amount: integer().nullable().named('subscription.amount'),
      rest: json().nullable(),
    }),
    to: {
      customer: mongoCollection('customers_v2', { customerId: bigint().named('_id'), email: text() }),
      subscription: mongoCollection(
        'subscriptions',
        { id: uuid().named('_id'), customerId: bigint(), plan: text(), amount: integer() },
        { many: true },
      ),
    },
    up: (old) => ({
      customer: { customerId: old.customerId, email: old.email },
      subscription: old.plan === null ? [] : [{ customerId: old.customerId, plan: old.plan, amount: old.amount ?? 0 }],
    }),
    down: ({ customer, subscription: [subscription] }) => ({
      ...customer,
      plan: subscription?.plan ?? null,
      amount: subscription?.amount ?? null,
      rest: null,
    }),
    inverse:
      policy === 'block' ? { policy } : policy === 'pick' ? { policy, choose } : { policy, choose, column: 'rest' },
  });
}

/** A database of its own with a created remodel. */
export class Shop {
  readonly client: MongoClient;
  readonly database: string;
  readonly model: Model;
  readonly store: MongoRemodelStore;

  constructor(client: MongoClient, database: string, model: Model) {
    this.client = client;
    this.database = database;
    this.model = model;
    this.store = new MongoRemodelStore(client, { database });
  }

  static async open(client: MongoClient, database: string, model: Model = customersModel()): Promise<Shop> {
    const shop = new Shop(client, database, model);
    await client.db(database).createCollection('customers');
    await shop.store.create(model, 'hash');
    return shop;
  }

  collection(name: string) {
    return this.client.db(this.database).collection<{ _id: unknown } & Record<string, unknown>>(name);
  }

  async customer(id: number, email: string, plan?: string): Promise<void> {
    const { Int32 } = await import('mongodb');
    const subscription = plan === undefined ? {} : { subscription: { plan, amount: new Int32(5) } };
    await this.collection('customers').insertOne({ _id: Long.fromNumber(id), email, ...subscription });
  }

  old(id: number) {
    return this.collection('customers').findOne({ _id: Long.fromNumber(id) });
  }

  async ramp(ramp: number, phase: 'dual' | 'sealed' | 'new-only' | 'reads' = 'dual'): Promise<void> {
    const control = await this.store.control(this.model);
    await this.store.change(this.model, control?.epoch ?? 0, { phase, ramp }, 'ramp', { ramp });
  }

  /** What the library does: enters, adopts if it shall, and writes. */
  write<T>(identity: string, work: (entered: Entered, session: ClientSession) => Promise<T>): Promise<T> {
    return this.client.withSession((session) =>
      session.withTransaction(async () => {
        const entered = await this.store.enter(this.model, session, identity);
        if (entered.owner === 'adopt') {
          const old = await entered.readOld();
          if (old !== undefined) await entered.adopt(this.model.up(old));
        }
        return work(entered, session);
      }),
    );
  }

  setEmail(identity: string, email: string): Promise<void> {
    return this.write(identity, async (entered) => {
      if (entered.owner !== 'old') {
        await entered.patchNew('customer', undefined, { email });
        return;
      }
      const old = await entered.readOld();
      await entered.putOld({ ...(old as Row), email });
    });
  }

  async relayAll(): Promise<void> {
    while ((await this.store.relay(this.model, 100)).more);
  }

  verify(byValue = true) {
    return this.store.verify(this.model, { byValue, signal: new AbortController().signal });
  }
}
