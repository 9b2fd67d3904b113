/** `godwit/remodel`: what an application embeds while one of its tables moves into a new data model. */
export type { ErrorCode } from './kernel/codes.ts';
export { GodwitError } from './kernel/errors.ts';
export {
  bigint,
  boolean,
  bytes,
  date,
  defineMigration,
  float,
  integer,
  json,
  mongoCollection,
  numeric,
  pgTable,
  type RowOf,
  text,
  timestamp,
  uuid,
} from './kernel/remodel/index.ts';
export * from './routes/remodel/library/index.ts';
