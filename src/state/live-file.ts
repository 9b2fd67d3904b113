import { readFileSync, renameSync, writeFileSync } from 'node:fs';
import { guarded } from './failures.ts';
import { FILE_MODE } from './run-dir.ts';

/**
 * The runner's status of this moment. A small file replaced by rename, not a
 * row: it changes several times a second, is worth nothing after a power cut
 * (so no fsync), never waits for another process's write lock, and does not
 * grow the WAL. A reader sees the old text or the new one, never a mixture.
 */
export function writeLive(path: string, json: string): void {
  guarded(path, () => {
    const fresh = `${path}.new`;
    writeFileSync(fresh, json, { mode: FILE_MODE });
    renameSync(fresh, path);
  });
}

/** The last status, or undefined when there is none (or a power cut emptied it). */
export function readLive(path: string): unknown {
  try {
    return JSON.parse(readFileSync(path, 'utf8'));
  } catch (error) {
    if (error instanceof SyntaxError || (error as { code?: string }).code === 'ENOENT') return undefined;
    throw error;
  }
}
