/** The volume goes over to the DR while the primary lives, and home again, under a mounted file system. */
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { Mounted } from '../../examples/volume/mounted.ts';
import type { DrStatus, PrimaryStatus, PromotionResult } from '../../src/routes/protect/api.ts';
import { protectCommand } from '../servers/protect-role.ts';
import { waitFor } from '../servers/wait-for.ts';
import { Machines } from './machines.ts';
import { Writers } from './writers.ts';

const LIMIT_MS = 480_000;
/** Far more than the switch takes: if it waited for the lease to be over, that would be seen. */
const LEASE_S = 20;

test(
  'a planned promotion and the way back are pauses for a mounted file system, and nothing is lost',
  async () => {
    const machines = await Machines.make({ policy: 'zero', size: '128MiB', leaseS: LEASE_S });
    onTestFinished(() => machines.close());
    await machines.startAll();
    await machines.attach();
    const volume = await Mounted.attach(machines.dir, 'user', machines.socket('user'), 'v');
    onTestFinished(() => volume.detach());
    await volume.format();
    await volume.mount();
    const writers = new Writers(volume.path, 3);
    const more = async () => {
      const than = writers.total + 60;
      const isMore = () => writers.total >= than || writers.error !== undefined;
      await waitFor(isMore, { timeoutMs: 150_000, what: 'the writers to go on' });
      expect(writers.error).toBeUndefined();
    };
    const ask = async (...words: string[]) => {
      const { code, out, err } = await protectCommand([
        ...words,
        '--state',
        join(machines.dir, 'dr'),
        '--yes',
        '--json',
      ]);
      expect([code, err]).toEqual([0, '']);
      return JSON.parse(out) as unknown;
    };
    await more();
    await waitFor(async () => (await machines.status<PrimaryStatus>('primary'))?.mode === 'full', {
      timeoutMs: 90_000,
      what: 'all three to be counted on',
    });
    const promoted = (await ask('promote', '--planned')) as PromotionResult;
    expect(promoted).toMatchObject({ targets: 0, queued: 0, manifest: { lost: [], complete: true } });
    expect(promoted.seconds).toBeLessThan(LEASE_S);
    await more();
    expect((await machines.status<DrStatus>('dr'))?.phase).toBe('promoted');
    expect((await machines.status<PrimaryStatus>('primary'))?.phase).toBe('deposed');
    await ask('failback');
    await more();
    expect((await machines.status<DrStatus>('dr'))?.phase).toBe('following');
    expect((await machines.status<PrimaryStatus>('primary'))?.phase).toBe('leading');
    await writers.stop();
    await volume.unmount();
    await volume.detach();
    const again = await Mounted.attach(machines.dir, 'again', machines.socket('primary'), 'v');
    onTestFinished(() => again.detach());
    expect(await again.check()).toMatchObject({ clean: true });
    await again.mount();
    expect(await writers.lost(again.path)).toEqual([]);
  },
  LIMIT_MS,
);

test('a primary that is not counted on by all keeps the lead, and says why', async () => {
  const machines = await Machines.make({ policy: 'zero', size: '8MiB', ring: '4MiB', patience: '1' });
  onTestFinished(() => machines.close());
  await machines.startAll();
  await machines.role('auxiliary').kill();
  await waitFor(async () => (await machines.status<PrimaryStatus>('primary'))?.mode === 'no-auxiliary', {
    timeoutMs: 90_000,
    what: 'the primary to go on without the auxiliary',
  });
  const words = ['promote', '--planned', '--state', join(machines.dir, 'dr'), '--yes', '--json'];
  const { code, out } = await protectCommand(words);
  expect([code, out]).toEqual([7, expect.stringMatching(/GW7033.*not all three/)]);
  expect((await machines.status<PrimaryStatus>('primary'))?.phase).toBe('leading');
});
