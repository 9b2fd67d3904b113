import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import { join } from 'node:path';
import { Mounted } from '../../examples/volume/mounted.ts';
import type { DrStatus, PrimaryStatus } from '../../src/routes/protect/api.ts';
import { findBlockTool } from '../../test/servers/block-tools.ts';
import { runCommand } from '../../test/servers/run-command.ts';
import { waitFor } from '../../test/servers/wait-for.ts';
import { note } from '../lib/print.ts';
import { World } from './world.ts';

export interface BacklogOptions {
  readonly dir: string;
  readonly backlogMiB: number;
  readonly blockKiB: number;
  readonly roundTripMs: number;
}

export interface BacklogResult {
  /** What had not arrived at the DR when the primary was lost. */
  readonly operations: number;
  readonly bytes: number;
  /** From the promotion that was granted, until it was answered, mounted, a file was read, everything was executed. */
  readonly answeredSeconds: number;
  readonly mountedSeconds: number;
  readonly readSeconds: number;
  readonly broughtUpSeconds: number;
  readonly secondsSinceLoss: number;
  readonly contentIsSame: boolean;
  readonly fsckClean: boolean;
}

/** A large backlog, a loss, a promotion; when is the file system there? */
export async function measureBacklog({
  dir,
  backlogMiB,
  blockKiB,
  roundTripMs,
}: BacklogOptions): Promise<BacklogResult> {
  // Smaller file systems have blocks of 1 KiB, and the ring no slots for so many.
  const sizeMiB = Math.max(1024, backlogMiB * 2);
  await using world = await World.start({
    ...{ dir, policy: 'barrier', sizeMiB, roundTripMs },
    // What the file system writes itself needs room, too.
    ringMiB: Math.ceil(backlogMiB * 1.25) + 64,
  });
  const here = await Mounted.attach(dir, 'primary', world.socket('primary'), world.exportName);
  let digest = '';
  try {
    await here.format();
    await here.mount();
    note(`writing ${backlogMiB} MiB in blocks of ${blockKiB} KiB while the data lane stands still`);
    await waitFor(async () => (await world.status<PrimaryStatus>('primary')).dataLag.operations === 0, {
      timeoutMs: 60_000,
      what: 'the DR to have everything',
    });
    world.lane.held = true;
    const file = join(here.path, 'large');
    const { code, stderr } = await runCommand(await findBlockTool('fio'), [
      ...['--name=backlog', `--filename=${file}`, '--rw=randwrite', `--bs=${blockKiB}k`, `--size=${backlogMiB}m`],
      // Through the page cache the file system makes what it likes of it; this is what is asked for.
      ...[
        '--direct=1',
        '--ioengine=libaio',
        '--iodepth=64',
        '--fallocate=none',
        '--end_fsync=1',
        '--runtime=300',
        '--randrepeat=1',
      ],
    ]);
    if (code !== 0) throw new Error(`fio ended with ${code}: ${stderr}`);
    digest = await sha256(file);
  } catch (error) {
    await here.detach();
    throw error;
  }
  const { dataLag } = await world.status<PrimaryStatus>('primary');
  note(`backlog: ${dataLag.operations} operations, ${(dataLag.bytes / 2 ** 20).toFixed(0)} MiB`);
  await world.primary.kill();
  // A primary that is lost writes nothing more from its page cache; here it shares the DR's disk.
  await runCommand('sync', ['-f', dir]);
  const lost = performance.now();
  // The file system is still mounted on what is gone.
  const detached = here.detach();
  const { result, commandSeconds } = await world.promote();
  const answered = performance.now();
  const since = (at: number) => (performance.now() - at) / 1000 + commandSeconds;
  const there = await Mounted.attach(dir, 'dr', world.socket('dr'), world.exportName);
  try {
    await there.mount();
    const mountedSeconds = since(answered);
    const first = await readSome(join(there.path, 'large'), 1 << 20);
    const readSeconds = since(answered);
    const secondsSinceLoss = (performance.now() - lost) / 1000;
    note(
      `promoted in ${commandSeconds.toFixed(2)} s (the engine: ${result.seconds.toFixed(2)}), mounted after ${mountedSeconds.toFixed(2)}, ${first} bytes read after ${readSeconds.toFixed(2)}`,
    );
    const { base, last } = await world.status<DrStatus>('dr');
    note(`${last - base} operations not executed yet; ${result.targets} targets, ${result.queued} queued`);
    await world.dr.said('brought-up', 300_000);
    const broughtUpSeconds = since(answered);
    const contentIsSame = (await sha256(join(there.path, 'large'))) === digest;
    await there.unmount();
    const { clean } = await there.check();
    return {
      ...{ operations: dataLag.operations, bytes: dataLag.bytes, answeredSeconds: commandSeconds },
      ...{ mountedSeconds, readSeconds, broughtUpSeconds, secondsSinceLoss, contentIsSame, fsckClean: clean },
    };
  } finally {
    await there.detach();
    await detached;
  }
}

async function sha256(file: string): Promise<string> {
  const hash = createHash('sha256');
  for await (const chunk of createReadStream(file)) hash.update(chunk as Buffer);
  return hash.digest('hex');
}

async function readSome(file: string, bytes: number): Promise<number> {
  let count = 0;
  for await (const chunk of createReadStream(file, { end: bytes - 1 })) count += (chunk as Buffer).length;
  return count;
}
