/** What applications embed: `godwit/remodel`. */
export type { GodwitEvent } from '../process/index.ts';
export type { RelayStatus } from '../relay/index.ts';
export { createGodwit, type Godwit, type GodwitOptions, type GodwitStatus, type RemodelStatus } from './godwit.ts';
export { mongoStore, natsQueue, postgresStore, type QueueSource, rabbitmqQueue, type StoreSource } from './sources.ts';
export type {
  Draft,
  ListHandle,
  Migration,
  ReadContext,
  ReadOptions,
  ReadSides,
  RootHandle,
  TwoWays,
  Work,
} from './types.ts';
