/**
 * What a run of the demo leaves on this machine: a directory, what is mounted there, loop devices and
 * processes. Its directory carries its pid, so that the next run can take away what a dead one left.
 */
import { mkdtempSync, readdirSync, readFileSync, readlinkSync, rmSync, statSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { runCommand } from '../../test/servers/run-command.ts';
import { waitFor } from '../../test/servers/wait-for.ts';

const NAME = /^godwit-volume-(\d+)-/;

/** A directory for this run. */
export function makeRunDirectory(): string {
  return mkdtempSync(join(tmpdir(), `godwit-volume-${process.pid}-`));
}

/** Whether no process has that pid, or one that is no Node. */
export function isOver(pid: number): boolean {
  try {
    return !readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('node');
  } catch {
    return true;
  }
}

/** Takes away what runs left that ended without being able to. */
export async function sweepDeadRuns(): Promise<void> {
  for (const name of readdirSync(tmpdir())) {
    const [, pid] = NAME.exec(name) ?? [];
    const dir = join(tmpdir(), name);
    // Whoever can write there could have made a directory of that name.
    if (pid !== undefined && isOver(Number(pid)) && statSync(dir).uid === process.getuid?.()) await sweepRun(dir);
  }
}

/** Ends whatever has this directory on its command line or is in it, and takes everything down that is mounted in it. */
export async function sweepRun(dir: string): Promise<void> {
  await killAll(dir);
  // Before its file is unmounted, when it cannot be told any more. One that is mounted goes with its mount.
  const { stdout } = await runCommand('losetup', ['--list', '--noheadings', '--output', 'NAME,BACK-FILE']);
  for (const line of stdout.split('\n')) {
    const [device = '', file = ''] = line.trim().split(/\s+/);
    if (file.startsWith(`${dir}/`)) await runCommand('losetup', ['-d', device]);
  }
  for (const path of mountsIn(dir)) await runCommand('umount', ['-l', path]);
  rmSync(dir, { recursive: true, force: true, maxRetries: 5 });
}

/** Until there is none: one that is killed may have started another before. */
async function killAll(dir: string): Promise<void> {
  const isQuiet = () => {
    const pids = processesOf(dir);
    for (const pid of pids) {
      try {
        process.kill(pid, 'SIGKILL');
      } catch {
        // It ended by itself.
      }
    }
    return pids.length === 0;
  };
  await waitFor(isQuiet, { timeoutMs: 10_000, what: `the processes of ${dir} to end` });
}

function processesOf(dir: string): number[] {
  const isOf = (pid: number) => {
    try {
      // A server process of PostgreSQL has a title of its own; it is at home in its data.
      const words = readFileSync(`/proc/${pid}/cmdline`, 'utf8');
      return words.includes(`${dir}/`) || readlinkSync(`/proc/${pid}/cwd`).startsWith(`${dir}/`);
    } catch {
      return false;
    }
  };
  return readdirSync('/proc')
    .map(Number)
    .filter((pid) => pid > 0 && pid !== process.pid && isOf(pid));
}

/** The last mounted first. */
function mountsIn(dir: string): string[] {
  return readFileSync('/proc/self/mounts', 'utf8')
    .split('\n')
    .map((line) => line.split(' ')[1] ?? '')
    .filter((path) => path.startsWith(`${dir}/`))
    .reverse();
}
