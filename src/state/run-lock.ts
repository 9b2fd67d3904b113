/**
 * One runner at a time. The lock is a transaction left open on an SQLite file
 * of its own: the operating system drops it with the process, whatever ends
 * it, so there is never a stale lock to clean up and never a pid to guess at.
 *
 * Nothing in this process may open `lock.db` by other means: closing any
 * descriptor of a file gives up the process's POSIX locks on it. And nothing may
 * be prepared on it, only `exec`: a statement would keep the file, and so the
 * lock, open after `close` (see database.ts).
 */
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { DatabaseSync } from '@photostructure/sqlite';
import { type ErrorDetails, GodwitError } from '../kernel/errors.ts';
import { guarded, isBusy, translateFailure } from './failures.ts';
import { FILE_MODE, type RunPaths, runPaths } from './run-dir.ts';

/** Held until released or until the process ends. */
export interface RunLock extends Disposable {
  release(): void;
}

/** Where a lock is, and the pid of its holder for the message. */
type LockPaths = Pick<RunPaths, 'lock' | 'lockOwner'>;

/** Outlasts a `runLockHolder` of another process that looks at the same moment. */
const WAIT_MS = 250;

/** A lock nobody refers to any more would be closed by the garbage collector, and with it given up. */
const held = new Set<InstanceType<typeof DatabaseSync>>();

/** Takes the lock of a run; GW7001 names the process that has it, GW1002 when there is no such run. */
export function acquireRunLock(stateDir: string, run: string): RunLock {
  const paths = runPaths(stateDir, run);
  if (!existsSync(paths.dir))
    throw new GodwitError('GW1002', `There is no run ${run} in ${stateDir}`, { details: { stateDir, run } });
  return acquireLock(paths, `Run ${run}`, { run });
}

/** Takes the lock of a folder, which must be there. */
export function acquireLock(paths: LockPaths, what: string, details: ErrorDetails = {}): RunLock {
  const db = tryLock(paths, WAIT_MS);
  if (db === undefined) {
    const pid = ownerPid(paths);
    throw new GodwitError('GW7001', `${what} is held by ${pid === undefined ? 'another process' : `process ${pid}`}`, {
      details: { ...details, pid: pid ?? null },
    });
  }
  held.add(db);
  let released = false;
  const release = () => {
    if (released) return;
    released = true;
    rmSync(paths.lockOwner, { force: true });
    held.delete(db);
    db.close();
  };
  try {
    guarded(paths.lockOwner, () => writeFileSync(paths.lockOwner, `${process.pid}\n`, { mode: FILE_MODE }));
  } catch (error) {
    release();
    throw error;
  }
  return { release, [Symbol.dispose]: release };
}

/** Whether a living process runs this run, and which: what `status` asks. Pid undefined when it has not said so yet. */
export function runLockHolder(stateDir: string, run: string): { readonly pid: number | undefined } | undefined {
  return lockHolder(runPaths(stateDir, run));
}

/** The same for the lock of any folder. */
export function lockHolder(paths: LockPaths): { readonly pid: number | undefined } | undefined {
  if (!existsSync(paths.lock)) return undefined;
  const db = tryLock(paths, 0);
  if (db === undefined) return { pid: ownerPid(paths) };
  db.close();
  return undefined;
}

/** The database with an exclusive transaction open, or undefined when another has it. */
function tryLock(paths: LockPaths, waitMs: number): InstanceType<typeof DatabaseSync> | undefined {
  const db = guarded(paths.lock, () => new DatabaseSync(paths.lock, { timeout: waitMs }));
  try {
    db.exec('BEGIN EXCLUSIVE');
    return db;
  } catch (error) {
    db.close();
    if (isBusy(error)) return undefined;
    throw translateFailure(error, paths.lock);
  }
}

function ownerPid(paths: LockPaths): number | undefined {
  try {
    const pid = Number.parseInt(readFileSync(paths.lockOwner, 'utf8'), 10);
    return Number.isSafeInteger(pid) ? pid : undefined;
  } catch {
    return undefined; // only words of a message depend on it
  }
}
