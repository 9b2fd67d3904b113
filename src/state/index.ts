/** What routes use of the run's durable memory. */
export type { UnitTotals } from './chunks.ts';
export { listRuns } from './list-runs.ts';
export { acquireRunLock, type RunLock, runLockHolder } from './run-lock.ts';
export { RunStore } from './run-store.ts';
export { Spool } from './spool/spool.ts';
