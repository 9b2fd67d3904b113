import type { MigrateOptions } from '../../../src/routes/migrate/api.ts';

/** Options of a run that nothing slows down and nobody waits for; what a test is about it says itself. */
export const PLAIN: Omit<MigrateOptions, 'from' | 'to' | 'run' | 'state' | 'include'> = {
  exclude: [],
  rename: [],
  cutover: 'manual',
  fence: 'none',
  fenceWholeCluster: false,
  entries: [],
  maxStallSeconds: 20,
  lanes: 2,
  applyLanes: 2,
  chunkMb: 1,
  throttle: 'off',
  neighbourLatencyLimit: 1.25,
  retryForSeconds: 60,
  resync: false,
  withUsers: false,
};
