import { closeSync, fsyncSync, mkdirSync, openSync } from 'node:fs';
import { join } from 'node:path';
import { GodwitError } from '../kernel/errors.ts';
import { guarded } from './failures.ts';

/** State can hold business data (keys, changes), so nobody but its owner may read it. */
export const DIR_MODE = 0o700;
export const FILE_MODE = 0o600;

const RUN_NAME = /^[A-Za-z0-9._-]{1,64}$/;

/** Where the parts of a run are. */
export interface RunPaths {
  readonly dir: string;
  readonly database: string;
  readonly spool: string;
  readonly lock: string;
  readonly lockOwner: string;
}

/** The paths of a run; GW1001 when the name could not be a folder's. */
export function runPaths(stateDir: string, run: string): RunPaths {
  if (!isRunName(run)) {
    throw new GodwitError('GW1001', `The run name ${JSON.stringify(run)} is not valid: 1 to 64 of A-Z a-z 0-9 . _ -`, {
      details: { option: '--run' },
    });
  }
  const dir = join(stateDir, run);
  return {
    dir,
    database: join(dir, 'run.db'),
    spool: join(dir, 'spool'),
    lock: join(dir, 'lock.db'),
    lockOwner: join(dir, 'lock.pid'),
  };
}

export function isRunName(name: string): boolean {
  return RUN_NAME.test(name) && name !== '.' && name !== '..';
}

/** Makes the folder of a run, durably. */
export function makeRunDir(stateDir: string, paths: RunPaths): void {
  guarded(`Making ${paths.dir}`, () => {
    mkdirSync(paths.dir, { recursive: true, mode: DIR_MODE });
    syncDir(stateDir);
  });
}

/** Makes the names in a folder durable: a new file can vanish in a power cut until its folder is synced. */
export function syncDir(dir: string): void {
  if (process.platform === 'win32') return; // folders cannot be opened there, and need not be
  const fd = openSync(dir, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
