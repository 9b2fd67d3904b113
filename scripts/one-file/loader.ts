/** Runs first in the one file: looks at the system, unpacks, and starts the command. */
import { createRequire } from 'node:module';
import { homedir, tmpdir } from 'node:os';
import { join } from 'node:path';
import { getAsset, getRawAsset } from 'node:sea';
import { failureOf, failureText } from '../../src/cli/failure.ts';
import { makePaint } from '../../src/cli/paint.ts';
import { GodwitError } from '../../src/kernel/errors.ts';
import { CONTENTS, type Contents, isOlder } from './contents.ts';
import { unpack } from './unpack.ts';

/** Loads each native part: one that cannot be is told of now, and not in the middle of a move. */
const START = 'start.cjs';

try {
  const contents = JSON.parse(getAsset(CONTENTS, 'utf8')) as Contents;
  checkLibc(contents);
  const dir = unpack(cacheFolder(), {
    ...contents,
    read: (name) => Buffer.from(getRawAsset(name) as ArrayBuffer),
  });
  start(dir);
} catch (error) {
  const failure = failureOf(error);
  process.stderr.write(failureText(failure, makePaint(false)));
  process.exitCode = failure.exitCode;
}

function checkLibc({ glibc, version }: Contents): void {
  const report = process.report as typeof process.report & { excludeNetwork?: boolean };
  // Else the names of all connections are asked for.
  report.excludeNetwork = true;
  const { header } = report.getReport() as unknown as { header: { glibcVersionRuntime?: string } };
  const here = header.glibcVersionRuntime;
  if (here !== undefined && !isOlder(here, glibc)) return;
  throw new GodwitError(
    'GW2407',
    `godwit ${version} as one file needs glibc ${glibc} or newer; here is ${here === undefined ? 'none' : `glibc ${here}`}`,
  );
}

/** Not in /tmp, where old files are swept away under a process that runs for weeks. */
function cacheFolder(): string {
  const given = process.env['XDG_CACHE_HOME'];
  if (given?.startsWith('/')) return join(given, 'godwit');
  try {
    return join(homedir(), '.cache', 'godwit');
  } catch {
    // A system without users knows no home.
    return join(tmpdir(), `godwit-${process.geteuid?.()}`);
  }
}

function start(dir: string): void {
  try {
    createRequire(join(dir, START))(`./${START}`);
  } catch (error) {
    throw new GodwitError('GW2407', `${dir}: ${reasons(error).join('; ')}`, { cause: error });
  }
}

/** Loaders of packages keep to themselves what the system said. */
function reasons(error: unknown): readonly string[] {
  if (!(error instanceof Error)) return error === undefined ? [] : [String(error)];
  return [error.message, ...reasons(error.cause)];
}
