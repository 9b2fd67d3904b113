/**
 * Native parts cannot be loaded from within a file. They are written to a folder
 * of our own, named by their hash, and looked at again at every start: what
 * somebody else could have put there, or a crash has cut, is not loaded.
 */
import { randomUUID } from 'node:crypto';
import { lstatSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { GodwitError } from '../../src/kernel/errors.ts';

export interface Packed {
  readonly hash: string;
  readonly files: readonly string[];
  readonly read: (name: string) => Buffer;
}

/** The folder with all files as they are packed. @throws GodwitError GW2407 */
export function unpack(base: string, packed: Packed): string {
  try {
    mkdirSync(base, { recursive: true, mode: 0o700 });
    mustBeOurs(base);
    const dir = join(base, packed.hash);
    if (isWhole(dir, packed)) return dir;
    const made = join(base, `${packed.hash}.${randomUUID()}`);
    try {
      write(made, packed);
      if (lstatSync(dir, { throwIfNoEntry: false }) !== undefined) renameSync(dir, `${made}.old`);
      renameSync(made, dir);
    } catch (error) {
      // Another process that starts at the same moment was quicker.
      if (!isWhole(dir, packed)) throw error;
    } finally {
      for (const left of [made, `${made}.old`]) rmSync(left, { recursive: true, force: true });
    }
    return dir;
  } catch (error) {
    if (error instanceof GodwitError) throw error;
    throw new GodwitError('GW2407', `${base}: ${error instanceof Error ? error.message : String(error)}`, {
      cause: error,
    });
  }
}

function write(dir: string, { files, read }: Packed): void {
  mkdirSync(dir, { mode: 0o700 });
  for (const name of files) {
    const path = join(dir, name);
    mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
    writeFileSync(path, read(name), { mode: 0o700 });
  }
}

function isWhole(dir: string, { files, read }: Packed): boolean {
  if (lstatSync(dir, { throwIfNoEntry: false }) === undefined) return false;
  mustBeOurs(dir);
  try {
    return files.every((name) => readFileSync(join(dir, name)).equals(read(name)));
  } catch {
    return false;
  }
}

/** Nobody else may change what is loaded from it. */
function mustBeOurs(dir: string): void {
  const stat = lstatSync(dir);
  const isOurs = stat.isDirectory() && stat.uid === process.geteuid?.() && (stat.mode & 0o077) === 0;
  if (!isOurs) throw new GodwitError('GW2407', `${dir} is not a folder that only this user may open (mode 0700)`);
}
