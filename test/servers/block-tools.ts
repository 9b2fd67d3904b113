import { existsSync } from 'node:fs';
import { delimiter, join } from 'node:path';
import { installPackages } from './debian-packages.ts';

/** Programs that speak to block servers, and the Debian package that each is in. */
const PACKAGES = {
  nbdinfo: 'libnbd-bin',
  nbdcopy: 'libnbd-bin',
  nbdfuse: 'libnbd-bin',
  'qemu-io': 'qemu-utils',
  'qemu-img': 'qemu-utils',
  'qemu-nbd': 'qemu-utils',
  nbdkit: 'nbdkit',
  fio: 'fio',
} as const;

export type BlockTool = keyof typeof PACKAGES;

let installing: Promise<string> | undefined;

/** The path of a tool; installs the packages of all of them where one is missing. */
export async function findBlockTool(name: BlockTool): Promise<string> {
  const found = look(name);
  if (found !== undefined) return found;
  installing ??= install();
  const words = await installing;
  const installed = look(name);
  if (installed !== undefined) return installed;
  throw new Error(`${name} was not found and could not be installed; it is in the package ${PACKAGES[name]}. ${words}`);
}

function look(name: string): string | undefined {
  return (process.env['PATH'] ?? '')
    .split(delimiter)
    .map((folder) => join(folder, name))
    .find((path) => existsSync(path));
}

async function install(): Promise<string> {
  const { stderr } = await installPackages([...new Set(Object.values(PACKAGES))]);
  return stderr.slice(-500);
}
