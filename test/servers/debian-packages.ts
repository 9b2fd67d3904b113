import { existsSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type CommandResult, runCommand } from './run-command.ts';

/** Held while packages are installed: several test files, in processes of their own, may want some at once. */
const LOCK = join(tmpdir(), 'godwit-apt.lock');
/** The names are arguments, not text of the script. */
const SCRIPT = `
export DEBIAN_FRONTEND=noninteractive
apt-get -q -oDPkg::Lock::Timeout=240 update >&2
exec apt-get -q -y -oDPkg::Lock::Timeout=240 install --no-install-recommends "$@"
`;

/** Installs packages of Debian, as root or by sudo; what is there already is left as it is. */
export function installPackages(packages: readonly string[]): Promise<CommandResult> {
  process.stderr.write(`godwit: installing ${packages.join(' ')} with apt-get\n`);
  const words = ['flock', LOCK, 'sh', '-c', SCRIPT, 'sh', ...packages];
  const [command, ...args] = process.getuid?.() === 0 ? words : ['sudo', '-n', ...words];
  return runCommand(command as string, args);
}

/**
 * Makes sure that programs are there, and installs the packages they are in where one is not.
 * A package that is being installed by another process right now is waited for.
 */
export async function ensurePrograms(files: readonly string[], packages: readonly string[]): Promise<void> {
  if (files.every((file) => existsSync(file))) {
    // What apt has unpacked is not set up yet.
    await runCommand('flock', [LOCK, 'true']);
    return;
  }
  const { stderr } = await installPackages(packages);
  const missing = files.filter((file) => !existsSync(file));
  if (missing.length === 0) return;
  throw new Error(
    `${missing.join(', ')}: not there, and ${packages.join(' ')} could not be installed: ${stderr.slice(-500)}`,
  );
}
