import { closeSync, existsSync, fsyncSync, openSync, readFileSync, renameSync, writeSync } from 'node:fs';
import { dirname } from 'node:path';
import { FILE_MODE, syncDir } from './run-dir.ts';

/** A small file that is either as it was or as it is to be, also after a power cut. */
export function writeDurably(path: string, value: unknown): void {
  const fd = openSync(`${path}.new`, 'w', FILE_MODE);
  try {
    writeSync(fd, `${JSON.stringify(value)}\n`);
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
  renameSync(`${path}.new`, path);
  syncDir(dirname(path));
}

/** Undefined when it was never written. */
export function readDurable<T>(path: string): T | undefined {
  return existsSync(path) ? (JSON.parse(readFileSync(path, 'utf8')) as T) : undefined;
}
