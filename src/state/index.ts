/** What routes use of the run's durable memory. */
export type { UnitTotals } from './chunks.ts';
export { askControl, ControlSocket } from './control-socket.ts';
export { readDurable, writeDurably } from './durable-json.ts';
export { KeptLog, type KeptLogAbout, readKeptLog } from './kept-log.ts';
export { listRuns } from './list-runs.ts';
export { syncDir } from './run-dir.ts';
export { acquireLock, acquireRunLock, type RunLock, runLockHolder } from './run-lock.ts';
export { RunStore } from './run-store.ts';
export { readSpool, spoolBounds } from './spool/read-only.ts';
export { Spool } from './spool/spool.ts';
