export { PostgresRemodelAdmin } from './remodel/admin.ts';
export { describePostgresTable } from './remodel/describe.ts';
export type { PgTransaction } from './remodel/executor.ts';
export { PostgresRemodelStore, type PostgresStoreOptions } from './remodel/store.ts';
