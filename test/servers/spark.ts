import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, rename, rm, writeFile } from 'node:fs/promises';
import { homedir } from 'node:os';
import { dirname, join } from 'node:path';
import { installPackages } from './debian-packages.ts';
import { runCommand } from './run-command.ts';

const VERSION = '4.3.0';
/** SHA-256 of that version's source archive on PyPI: what we run is what we once looked at. */
const ARCHIVE_SHA256 = 'e8c517948eff7088a7aa07449aa8eafa4a15a8d50319de2525a6fd26622476c6';

const WAYS_OUT =
  'Install Spark 4 (https://spark.apache.org/downloads.html) and Java 17 or newer, and set SPARK_HOME to where Spark lies.';

let found: Promise<string> | undefined;

/** A directory that can be `SPARK_HOME`: the one of the environment, else our cache, else fetched from PyPI. */
export function findSpark(): Promise<string> {
  found ??= search().catch((error: unknown) => {
    found = undefined; // a later call may succeed
    throw error;
  });
  return found;
}

async function search(): Promise<string> {
  if (!process.env['JAVA_HOME'] && !(await hasJava())) {
    const { stderr } = await installPackages(['default-jre-headless']);
    if (!(await hasJava())) throw new Error(`Spark needs Java, and there is none. ${WAYS_OUT} ${stderr.slice(-300)}`);
  }
  const named = process.env['SPARK_HOME'];
  if (named) {
    if (isSpark(named)) return named;
    throw new Error(`SPARK_HOME=${named} holds no bin/spark-submit: correct it, or unset it`);
  }
  const cache = process.env['XDG_CACHE_HOME'] || join(homedir(), '.cache');
  const target = join(cache, 'godwit', `pyspark-${VERSION}`);
  const home = join(target, 'pyspark');
  if (!isSpark(home)) await fetchSpark(target);
  return home;
}

async function hasJava(): Promise<boolean> {
  return (await runCommand('java', ['-version'])).code === 0;
}

function isSpark(home: string): boolean {
  return existsSync(join(home, 'bin', 'spark-submit'));
}

/** Installs the package beside the target; the last step is a rename, so that whoever looks sees all of it or nothing. */
async function fetchSpark(target: string): Promise<void> {
  await mkdir(dirname(target), { recursive: true });
  const work = await mkdtemp(join(dirname(target), 'fetching-'));
  try {
    process.stderr.write(`godwit: no Spark found, fetching one from PyPI (pyspark ${VERSION}, 456 MB)\n`);
    if ((await runCommand('python3', ['-m', 'pip', '--version'])).code !== 0) await installPackages(['python3-pip']);
    await writeFile(join(work, 'wanted.txt'), `pyspark==${VERSION} --hash=sha256:${ARCHIVE_SHA256}\n`);
    const flags = ['--no-deps', '--require-hashes', '--disable-pip-version-check', '--no-input', '-q'];
    const where = ['--target', join(work, 'spark'), '-r', join(work, 'wanted.txt')];
    const pip = await runCommand('python3', ['-m', 'pip', 'install', ...flags, ...where]);
    if (pip.code !== 0) throw new Error(`pip install pyspark==${VERSION} failed: ${pip.stderr.trim()}`);
    if (!isSpark(join(work, 'spark', 'pyspark'))) throw new Error('the package holds no bin/spark-submit');
    await rename(join(work, 'spark'), target).catch((error: unknown) => {
      if (!isSpark(join(target, 'pyspark'))) throw error; // else somebody was faster
    });
  } catch (error) {
    const why = error instanceof Error ? error.message : String(error);
    throw new Error(`no Spark found, and fetching one failed: ${why}\n${WAYS_OUT}`, { cause: error });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}
