/** Hives as files: a hive with what lies beside it, and a result that appears whole or not at all. */
import { existsSync } from 'node:fs';
import { open, readdir, readFile, rename, rm } from 'node:fs/promises';
import { basename, dirname, join } from 'node:path';
import {
  type HiveFile,
  openHive,
  VERSION_KEY,
  type WindowsVersion,
  windowsVersion,
} from '../../../adapters/windows-registry/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';

/** LOG is the one of Windows before Vista, and an empty relic since. */
const LOGS = ['.log1', '.log2', '.log'];

export interface HiveOnDisc {
  readonly primary: HiveFile;
  readonly logs: readonly HiveFile[];
}

/** The file and its logs, whatever the case of their names. */
export async function readHiveFiles(file: string): Promise<HiveOnDisc> {
  const primary = { name: file, bytes: await readWhole(file) };
  const logs: HiveFile[] = [];
  for (const name of await namesBeside(file)) {
    const start = basename(file).toLowerCase();
    if (!LOGS.some((end) => name.toLowerCase() === `${start}${end}`)) continue;
    logs.push({ name, bytes: await readWhole(join(dirname(file), name)) });
  }
  return { primary, logs };
}

/** What the hive SOFTWARE beside a SYSTEM hive says; undefined where there is none. */
export async function versionBeside(system: string): Promise<WindowsVersion | undefined> {
  const name = (await namesBeside(system)).find((other) => other.toLowerCase() === 'software');
  if (name === undefined) return undefined;
  const { primary, logs } = await readHiveFiles(join(dirname(system), name));
  return windowsVersion(openHive(primary, logs, { only: VERSION_KEY }).hive.root);
}

/** Writes beside the place, to the disc, then renames: nobody ever sees half of a hive there. */
export async function replaceFile(file: string, bytes: Buffer): Promise<void> {
  const temporary = `${file}.godwit-${process.pid}`;
  try {
    // Hives hold secrets of the system.
    const handle = await open(temporary, 'wx', 0o600);
    try {
      await handle.writeFile(bytes);
      await handle.sync();
    } finally {
      await handle.close();
    }
    await rename(temporary, file);
  } catch (error) {
    await rm(temporary, { force: true });
    throw error;
  }
  const folder = await open(dirname(file), 'r');
  try {
    await folder.sync();
  } finally {
    await folder.close();
  }
}

/** GW1005 when something is at the place and nobody said that it may be replaced. */
export function refuseToOverwrite(file: string, isForced: boolean): void {
  if (isForced || !existsSync(file)) return;
  throw new GodwitError('GW1005', `${file} exists; --force replaces it`);
}

async function readWhole(file: string): Promise<Buffer> {
  try {
    return await readFile(file);
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new GodwitError('GW1001', `${file} cannot be read: ${why}`, { cause: error });
  }
}

async function namesBeside(file: string): Promise<readonly string[]> {
  return readdir(dirname(file)).catch(() => []);
}
