import { GodwitError } from '../kernel/errors.ts';

/**
 * What the disk and SQLite throw, in Godwit's codes. Decided by error numbers,
 * never by words. What is not in the table is given back as it came: it is a
 * bug, and its own stack says more than ours.
 */
export function translateFailure(error: unknown, what: string): unknown {
  if (error instanceof GodwitError || !(error instanceof Error)) return error;
  const fault = error as Error & { code?: string; errcode?: number; sqliteCode?: number; systemErrno?: number };
  const say = (code: ConstructorParameters<typeof GodwitError>[0], words: string) =>
    new GodwitError(code, `${what}: ${words} (${fault.message})`, { details: { what }, cause: error });

  const sqlite = fault.code === 'ERR_SQLITE_ERROR' ? (fault.sqliteCode ?? (fault.errcode ?? 0) & 0xff) : undefined;
  if (sqlite === SQLITE.full || fault.systemErrno === ENOSPC || isNoSpace(fault.code))
    return say('GW4003', 'the disk is full');
  if (sqlite === undefined) {
    if (fault.code === 'EIO') return say('GW4002', 'the disk reports an error');
    if (fault.code === 'EACCES' || fault.code === 'EPERM' || fault.code === 'EROFS')
      return say('GW1001', 'not permitted');
    return error;
  }
  if (sqlite === SQLITE.corrupt || sqlite === SQLITE.notADatabase)
    return say('GW4002', 'the file of the run is damaged');
  if (sqlite === SQLITE.ioError) return say('GW4002', 'the disk reports an error');
  if (sqlite === SQLITE.busy) return say('GW3003', 'another process holds the run state');
  if (sqlite === SQLITE.cannotOpen) return say('GW1001', 'the file cannot be opened');
  return error;
}

/** Runs `work`; what it throws is translated. */
export function guarded<T>(what: string, work: () => T): T {
  try {
    return work();
  } catch (error) {
    throw translateFailure(error, what);
  }
}

/** The same for a promise. */
export async function guardedAsync<T>(what: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    throw translateFailure(error, what);
  }
}

export function isBusy(error: unknown): boolean {
  return (error as { sqliteCode?: number } | undefined)?.sqliteCode === SQLITE.busy;
}

function isNoSpace(code: string | undefined): boolean {
  return code === 'ENOSPC' || code === 'EDQUOT';
}

const ENOSPC = 28;
const SQLITE = { busy: 5, ioError: 10, corrupt: 11, full: 13, cannotOpen: 14, notADatabase: 26 } as const;
