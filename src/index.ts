/** The library: everything that `godwit migrate` does, for programs. */
export type { ErrorCode } from './kernel/codes.ts';
export { GodwitError } from './kernel/errors.ts';
export type * from './routes/migrate/api.ts';
export * as migrate from './routes/migrate/index.ts';
