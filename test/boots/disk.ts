/** Disk images with partitions, mounted through loop devices for as long as they are needed. */
import { spawnSync } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { existsSync, mkdirSync, mkdtempSync, rmdirSync } from 'node:fs';
import { must } from '../files/file-system.ts';
import { runCommand } from '../servers/run-command.ts';
import { type Layout, rootPartition, writeTable } from './partitions.ts';

/** Loop devices of ours, and where they are mounted: given back however this process ends, but for SIGKILL. */
const held = new Map<string, string | undefined>();
process.on('exit', () => {
  for (const [loop, dir] of held) {
    if (dir !== undefined) spawnSync('umount', ['-l', dir]);
    spawnSync('partx', ['-d', loop]);
    spawnSync('losetup', ['-d', loop]);
  }
});

/** A disk with an empty root. */
export async function makeDisk(image: string, megabytes: number, layout: Layout): Promise<void> {
  await writeTable(image, megabytes, layout);
  await using disk = await attach(image);
  await must('mkfs.ext4', ['-q', '-F', '-E', 'nodiscard', disk.partition]);
}

export interface Attached extends AsyncDisposable {
  readonly loop: string;
  /** The one with the root. */
  readonly partition: string;
}

const PATIENCE_MS = 60_000;

/** The kernel of the machine may know no partition tables: partx tells it what is where. */
async function attach(image: string): Promise<Attached> {
  const number = rootPartition(image);
  const until = performance.now() + PATIENCE_MS;
  for (;;) {
    const loop = (await must('losetup', ['-f', '--show', image])).trim();
    held.set(loop, undefined);
    const release = async () => {
      await runCommand('partx', ['-d', loop]);
      await runCommand('losetup', ['-d', loop]);
      held.delete(loop);
    };
    const { code, stderr } = await runCommand('partx', ['-a', '--nr', String(number), loop]);
    const partition = `${loop}p${number}`;
    if (existsSync(partition)) return { loop, partition, [Symbol.asyncDispose]: release };
    await release();
    // Somebody else who takes and gives back loop devices at the same time may hold the table for a moment.
    if (performance.now() > until) throw new Error(`partx -a ${loop} ended with ${code}: ${stderr}`);
    await new Promise((resolve) => setTimeout(resolve, randomInt(50, 500)));
  }
}

export interface MountedDisk extends AsyncDisposable {
  readonly dir: string;
  readonly loop: string;
  readonly partition: string;
}

export async function mountDisk(image: string, isReadOnly = false): Promise<MountedDisk> {
  const disk = await attach(image);
  mkdirSync(`${image}.d`, { recursive: true });
  const dir = mkdtempSync(`${image}.d/m-`);
  held.set(disk.loop, dir);
  try {
    await must('mount', ['-o', isReadOnly ? 'ro,noload' : 'rw', disk.partition, dir]);
  } catch (error) {
    await disk[Symbol.asyncDispose]();
    throw error;
  }
  return {
    dir,
    loop: disk.loop,
    partition: disk.partition,
    [Symbol.asyncDispose]: async () => {
      const { code } = await runCommand('umount', ['-R', dir]);
      if (code !== 0) await must('umount', ['-R', '-l', dir]);
      await disk[Symbol.asyncDispose]();
      rmdirSync(dir);
    },
  };
}
