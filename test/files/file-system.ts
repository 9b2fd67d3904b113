/** Real file systems in loop devices: mounted for one test, gone after it. Needs root. */
import { spawnSync } from 'node:child_process';
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../servers/run-command.ts';
import { needPrograms } from './packages.ts';

export const FILE_SYSTEMS = ['ext4', 'xfs', 'btrfs'] as const;
export type FileSystem = (typeof FILE_SYSTEMS)[number];

const MAKE: Readonly<Record<FileSystem, readonly string[]>> = {
  ext4: ['mkfs.ext4', '-q', '-F', '-b', '4096', '-O', 'inline_data'],
  xfs: ['mkfs.xfs', '-q', '-f'],
  btrfs: ['mkfs.btrfs', '-q', '-f'],
};

const mounted = new Set<string>();
process.on('exit', () => {
  for (const dir of mounted) spawnSync('umount', ['-l', dir]);
});

export interface Mounted extends AsyncDisposable {
  readonly dir: string;
}

/** A fresh file system of this kind, empty. */
export async function mountFresh(kind: FileSystem, megabytes = 400): Promise<Mounted> {
  await needPrograms('mkfs.ext4', 'mkfs.xfs', 'mkfs.btrfs');
  const base = mkdtempSync(join(tmpdir(), `godwit-${kind}-`));
  const image = join(base, 'image');
  const dir = join(base, 'mnt');
  writeFileSync(image, '');
  truncateSync(image, megabytes * 1024 * 1024);
  mkdirSync(dir);
  const [make, ...args] = MAKE[kind] as [string, ...string[]];
  await must(make, [...args, image]);
  await must('mount', ['-o', 'loop', image, dir]);
  mounted.add(dir);
  return {
    dir,
    [Symbol.asyncDispose]: async () => {
      // Whatever a failed test left mounted in it goes, too.
      const under = await runCommand('umount', ['-R', dir]);
      if (under.code !== 0) await runCommand('umount', ['-l', dir]);
      mounted.delete(dir);
      rmSync(base, { recursive: true, force: true });
    },
  };
}

/** Runs a command that must succeed; gives what it printed. */
export async function must(program: string, args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await runCommand(program, args);
  if (code !== 0) throw new Error(`${program} ${args.join(' ')} ended with ${code}: ${stderr || stdout}`);
  return stdout;
}
