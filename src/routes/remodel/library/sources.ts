import type { ClientSession, Db, MongoClient } from 'mongodb';
import type { Pool } from 'pg';
import type { PgTransaction } from '../../../adapters/postgres/index.ts';
import type { Doorbell, RemodelStore } from '../../../kernel/remodel/index.ts';

/** A store that is opened when it is needed, so that only its own driver is loaded. */
export interface StoreSource<Tx> {
  open(): Promise<RemodelStore<Tx>>;
}

/** A queue, likewise. */
export interface QueueSource {
  open(): Promise<Doorbell>;
}

/** RabbitMQ rings for what has to be carried: a quorum queue per remodel. `amqp[s]://user:password@host:port/vhost`. */
export function rabbitmqQueue(uri: string): QueueSource {
  return { open: async () => (await import('../../../adapters/rabbitmq/index.ts')).rabbitmqDoorbell({ uri }) };
}

/** NATS JetStream rings for what has to be carried. `nats://user:password@host:port`; `tls://` for TLS. */
export function natsQueue(uri: string): QueueSource {
  return { open: async () => (await import('../../../adapters/nats/index.ts')).natsDoorbell({ uri }) };
}

/** PostgreSQL, through the application's own pool, which stays the application's to end. */
export function postgresStore(options: { readonly pool: Pool }): StoreSource<PgTransaction> {
  return {
    open: async () => new (await import('../../../adapters/postgres/index.ts')).PostgresRemodelStore(options),
  };
}

/** MongoDB (a replica set), through the application's own client, which stays the application's to close. */
export function mongoStore(options: {
  readonly client: MongoClient;
  readonly db: Db | string;
}): StoreSource<ClientSession> {
  const database = typeof options.db === 'string' ? options.db : options.db.databaseName;
  return {
    open: async () =>
      new (await import('../../../adapters/mongodb/index.ts')).MongoRemodelStore(options.client, { database }),
  };
}
