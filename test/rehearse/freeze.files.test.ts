/** File systems are frozen for as long as the process lives, and no longer. */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { expect, test } from 'vitest';
import { freeze, refreshDevices } from '../../src/adapters/linux-boot/index.ts';
import { mountFresh, must } from '../files/file-system.ts';
import { runCommand } from '../servers/run-command.ts';
import { waitFor } from '../servers/wait-for.ts';

const FIXTURE = fileURLToPath(new URL('./freeze.fixture.ts', import.meta.url));

/** In a process of its own: a write to what is frozen does not come back. */
function writer(dir: string): ChildProcess {
  return spawn('sh', ['-c', 'echo x > "$0"', join(dir, 'file')], { stdio: 'ignore' });
}

/** What the kernel says of a process: D waits for something that cannot be interrupted. */
async function waitsInKernel(pid: number): Promise<boolean> {
  return /^\S+ \(.*\) D/.test((await runCommand('cat', [`/proc/${pid}/stat`])).stdout);
}

test('nothing is written until it is let go, on ext4 and two at once', async () => {
  await using one = await mountFresh('ext4');
  await using two = await mountFresh('xfs');
  const writers: ChildProcess[] = [];
  {
    await using _frozen = await freeze([one.dir, two.dir]);
    for (const { dir } of [one, two]) writers.push(writer(dir));
    for (const { pid } of writers)
      await waitFor(() => waitsInKernel(pid ?? 0), { timeoutMs: 20_000, what: 'a write that waits' });
    expect(writers.map(({ exitCode }) => exitCode)).toEqual([null, null]);
  }
  for (const each of writers) if (each.exitCode === null) await once(each, 'exit');
  expect(writers.map(({ exitCode }) => exitCode)).toEqual([0, 0]);
});

test('a process that is killed leaves nothing frozen', async () => {
  await using mounted = await mountFresh('ext4');
  const child = spawn(process.execPath, ['--import', 'tsx', FIXTURE, mounted.dir], {
    stdio: ['pipe', 'pipe', 'inherit'],
  });
  await once(child.stdout, 'data');
  const waiting = writer(mounted.dir);
  await waitFor(() => waitsInKernel(waiting.pid ?? 0), { timeoutMs: 20_000, what: 'a write that waits' });
  child.kill('SIGKILL');
  if (waiting.exitCode === null) await once(waiting, 'exit');
  expect(waiting.exitCode).toBe(0);
});

test('what is unmounted meanwhile is let go all the same', async () => {
  await using mounted = await mountFresh('ext4');
  const image = join(mounted.dir, '../image');
  const isInUse = async () => (await must('losetup', ['-a'])).includes(image);
  {
    await using _frozen = await freeze([mounted.dir]);
    await must('umount', ['-l', mounted.dir]);
    expect(await isInUse()).toBe(true);
  }
  await waitFor(async () => !(await isInUse()), { timeoutMs: 20_000, what: 'the end of its loop device' });
});

test('the device is read as its files are, whatever was read of it before', async () => {
  await using mounted = await mountFresh('ext4', 32);
  const file = join(mounted.dir, 'page');
  const device = (await must('findmnt', ['-n', '-o', 'SOURCE', mounted.dir])).trim();
  const [before, after] = ['before: '.repeat(4096), 'after:: '.repeat(4096)];
  const onDevice = async (text: string) =>
    (await must('grep', ['-c', '-a', text.slice(0, 64), device]).catch(() => '0')).trim() !== '0';
  await must('sh', ['-c', 'printf %s "$1" > "$0" && sync "$0"', file, before]);
  expect(await onDevice(before)).toBe(true);
  // In place: the blocks stay the same ones.
  await must('sh', ['-c', 'printf %s "$1" 1<> "$0" >&1 && sync "$0"', file, after]);
  await using _frozen = await freeze([mounted.dir]);
  // The control: without it a clone would be of what was there before.
  expect([await onDevice(before), await onDevice(after)]).toEqual([true, false]);
  await refreshDevices([device]);
  expect([await onDevice(before), await onDevice(after)]).toEqual([false, true]);
});

test('what cannot be frozen is told of, and nothing stays frozen', async () => {
  await using mounted = await mountFresh('ext4');
  await expect(freeze([mounted.dir, '/proc'])).rejects.toMatchObject({ code: 'GW2421' });
  const written = writer(mounted.dir);
  if (written.exitCode === null) await once(written, 'exit');
  expect(written.exitCode).toBe(0);
});
