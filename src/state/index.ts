export type { ChunkKind, UnitTotals } from './chunks.ts';
export { listRuns, type RunSummary, type UnreadableRun } from './list-runs.ts';
export type { ControlAnswer, ControlRequest } from './requests.ts';
export { acquireRunLock, type RunLock, runLockHolder } from './run-lock.ts';
export { type FlagName, type Heartbeat, type RunEvent, RunStore } from './run-store.ts';
export type { Sample } from './samples.ts';
export { Spool, type SpoolOptions } from './spool/spool.ts';
