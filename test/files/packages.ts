/** Programs that the tests of files need; what is missing is installed where that is possible, and is a failure elsewhere. */
import { access } from 'node:fs/promises';
import { installPackages } from '../servers/debian-packages.ts';

const PACKAGES = {
  'mkfs.ext4': 'e2fsprogs',
  'mkfs.xfs': 'xfsprogs',
  'mkfs.btrfs': 'btrfs-progs',
  setfattr: 'attr',
  setfacl: 'acl',
  setcap: 'libcap2-bin',
  rsync: 'rsync',
  python3: 'python3',
  openssl: 'openssl',
  ip: 'iproute2',
} as const;

const PLACES = ['/usr/sbin', '/usr/bin', '/sbin', '/bin', '/usr/local/bin'];

async function isThere(program: string): Promise<boolean> {
  for (const place of [...PLACES, ...(process.env['PATH'] ?? '').split(':')]) {
    try {
      await access(`${place}/${program}`);
      return true;
    } catch {
      // Perhaps in the next one.
    }
  }
  return false;
}

export async function needPrograms(...programs: readonly (keyof typeof PACKAGES)[]): Promise<void> {
  const missing: string[] = [];
  for (const program of programs) if (!(await isThere(program))) missing.push(PACKAGES[program]);
  if (missing.length === 0) return;
  const { code, stderr } = await installPackages(missing);
  if (code !== 0) throw new Error(`${missing.join(' ')} could not be installed: ${stderr.trim()}`);
}
