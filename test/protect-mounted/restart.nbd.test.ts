/** A file system on a protected volume, under load, while its server is killed and started again (traps 21, 22). */
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { Mounted } from '../../examples/volume/mounted.ts';
import { waitFor } from '../servers/wait-for.ts';
import { Machines } from './machines.ts';
import { Writers } from './writers.ts';

const WRITERS = 4;
const LIMIT_MS = 480_000;

async function begin(policy: 'zero' | 'barrier'): Promise<Machines> {
  const machines = await Machines.make({ policy, size: '128MiB' });
  onTestFinished(() => machines.close());
  await machines.startAll();
  return machines;
}

async function mounted(machines: Machines, name: string, socket: string, isNew: boolean): Promise<Mounted> {
  const volume = await Mounted.attach(machines.dir, name, socket, 'v');
  onTestFinished(() => volume.detach());
  if (isNew) await volume.format();
  await volume.mount();
  return volume;
}

const more = (writers: Writers, than: number) =>
  waitFor(() => writers.total >= than || writers.error !== undefined, {
    timeoutMs: 150_000,
    what: 'the writers to go on',
  });

test.each(['barrier', 'zero'] as const)(
  'killed and started again under a mounted file system (%s): no error, and nothing that fsync promised is lost',
  async (policy) => {
    const machines = await begin(policy);
    await machines.attach();
    const volume = await mounted(machines, 'user', machines.socket('user'), true);
    const writers = new Writers(volume.path, WRITERS);
    for (const pauseMs of [0, 1_500, 200]) {
      await more(writers, writers.total + 100);
      await machines.role('primary').kill();
      await sleep(pauseMs);
      machines.start('primary');
    }
    await more(writers, writers.total + 100);
    await writers.stop();
    expect(writers.error).toBeUndefined();
    expect(writers.total).toBeGreaterThan(400);
    // The page cache would say what it was told: what counts is what is at the server, once more killed.
    await volume.unmount();
    await volume.detach();
    await machines.role('primary').kill();
    await machines.start('primary').said('leading');
    const again = await Mounted.attach(machines.dir, 'again', machines.socket('primary'), 'v');
    onTestFinished(() => again.detach());
    expect(await again.check()).toMatchObject({ clean: true });
    await again.mount();
    expect(await writers.lost(again.path)).toEqual([]);
  },
  LIMIT_MS,
);

test(
  'without `attach` the same is seen as errors',
  async () => {
    const machines = await begin('barrier');
    const volume = await mounted(machines, 'user', machines.socket('primary'), true);
    const writers = new Writers(volume.path, 1);
    await more(writers, 20);
    await machines.role('primary').kill();
    machines.start('primary');
    await waitFor(() => writers.error !== undefined, { timeoutMs: 150_000, what: 'an error' });
    expect(writers.error).toMatchObject({ code: expect.stringMatching(/EIO|EROFS/) });
    await writers.stop();
  },
  LIMIT_MS,
);
