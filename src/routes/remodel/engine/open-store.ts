import { GodwitError } from '../../../kernel/errors.ts';
import type { DescribedColumn, Model, RemodelAdmin } from '../../../kernel/remodel/index.ts';
import type { AnyStore } from './tools.ts';

export interface OpenStore {
  readonly store: AnyStore;
  readonly admin: RemodelAdmin;
  close(): Promise<void>;
}

/** The store of a model at an address; its driver is loaded only now. @throws GodwitError GW1001 when they do not fit. */
export async function openStore(model: Model, db: string, connections: number): Promise<OpenStore> {
  const kind = /^postgres(ql)?:/.test(db) ? 'postgres' : 'mongodb';
  if (kind !== model.store)
    throw new GodwitError(
      'GW1001',
      `--db is a ${kind} address, and the tables of ${model.name} are in ${model.store}`,
      {
        details: { option: 'db' },
      },
    );
  if (kind === 'postgres') {
    const { PostgresRemodelAdmin, PostgresRemodelStore } = await import('../../../adapters/postgres/index.ts');
    const store = new PostgresRemodelStore({ pool: db, connections });
    return {
      store: store as unknown as AnyStore,
      admin: new PostgresRemodelAdmin(store.pool),
      close: () => store.close(),
    };
  }
  const { MongoRemodelStore } = await import('../../../adapters/mongodb/index.ts');
  const store = await MongoRemodelStore.connect(db);
  return { store: store as unknown as AnyStore, admin: store.admin, close: () => store.close() };
}

/** The columns of a table or collection, for `init`. */
export async function describeTable(db: string, table: string): Promise<readonly DescribedColumn[]> {
  if (/^postgres(ql)?:/.test(db)) {
    const { describePostgresTable } = await import('../../../adapters/postgres/index.ts');
    return describePostgresTable(db, table);
  }
  const { describeCollection } = await import('../../../adapters/mongodb/index.ts');
  return describeCollection(db, table);
}
