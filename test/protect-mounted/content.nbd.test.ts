/** A volume that has content already comes under protection: a file, or a block device that nobody has mounted. */
import { closeSync, openSync, readFileSync, symlinkSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { NbdClient } from '../../src/adapters/nbd/index.ts';
import type { PrimaryStatus } from '../../src/routes/protect/api.ts';
import { must } from '../files/file-system.ts';
import { BLOCK, stamp } from '../protect-storms/ledger.ts';
import { protectCommand } from '../servers/protect-role.ts';
import { waitFor } from '../servers/wait-for.ts';
import { Machines } from './machines.ts';

const BLOCKS = 2048;
const SIZE = BLOCKS * BLOCK;
/** Of what was there before; versions of the writers are smaller. */
const OLD = 1000;

/** Every third block has something. */
function fill(path: string): void {
  const fd = openSync(path, 'r+');
  for (let block = 0; block < BLOCKS; block += 3) writeSync(fd, stamp(block, OLD), 0, BLOCK, block * BLOCK);
  closeSync(fd);
}

const logOf = ({ dir }: Machines) => readFileSync(join(dir, 'primary.log'), 'utf8');

/** A name for a loop device of that size, as one would name a disk. */
async function loopDevice(path: string): Promise<void> {
  writeFileSync(`${path}.disk`, '');
  truncateSync(`${path}.disk`, SIZE);
  const device = (await must('losetup', ['--find', '--show', `${path}.disk`])).trim();
  onTestFinished(async () => void (await must('losetup', ['--detach', device])));
  symlinkSync(device, path);
}

test.each(['file', 'block device'])('a %s with content is the volume, and all of it goes to the DR', async (kind) => {
  const machines = await Machines.make({ policy: 'zero', size: String(SIZE), ring: '4MiB', leaseS: 1 });
  const [image, drImage] = [join(machines.dir, 'primary.img'), join(machines.dir, 'dr.img')];
  if (kind === 'file') {
    writeFileSync(image, '');
    truncateSync(image, SIZE);
  } else for (const path of [image, drImage]) await loopDevice(path);
  // Before the devices go.
  onTestFinished(() => machines.close());
  fill(image);
  // What the DR's disk held before means nothing.
  if (kind !== 'file') fill(drImage);

  const refused = machines.start('primary');
  await waitFor(() => refused.isOver, { timeoutMs: 30_000, what: 'an image with content to be refused' });
  expect(logOf(machines)).toContain('GW2204');
  machines.start('auxiliary');
  machines.start('dr', ['--replace', ...(kind === 'file' ? [] : ['--overwrite-image'])]);
  const primary = machines.start('primary', ['--keep-image']);
  await primary.said('leading');
  await primary.said('serving');
  const client = await NbdClient.connect({ address: { path: machines.socket('primary') }, exportName: 'v' });
  onTestFinished(() => client.close().catch(() => undefined));
  const early = await protectCommand(['promote', '--state', join(machines.dir, 'dr'), '--yes', '--json']);
  expect([early.code, early.out]).toEqual([7, expect.stringMatching(/GW7032|GW7012/)]);
  for (let block = 0; block < BLOCKS; block += 5) await client.write(block * BLOCK, stamp(block, 1), false);
  await machines.role('dr').said('complete', 60_000);
  await machines.areLevel();
  await machines.role('primary').kill();
  expect(await machines.promote()).toMatchObject({ stale: false, manifest: { lost: [], complete: true } });
  const there = await NbdClient.connect({ address: { path: machines.socket('dr') }, exportName: 'v' });
  onTestFinished(() => there.close());
  const content = Buffer.alloc(BLOCK);
  for (let block = 0; block < BLOCKS; block += 1) {
    await there.read(block * BLOCK, content);
    const old = block % 3 === 0 ? stamp(block, OLD) : Buffer.alloc(BLOCK);
    expect(content.equals(block % 5 === 0 ? stamp(block, 1) : old), `block ${block}`).toBe(true);
  }
});

test('with a DR that knows nothing of the content it is not served', async () => {
  const machines = await Machines.make({ policy: 'zero', size: String(SIZE), ring: '4MiB', leaseS: 1 });
  onTestFinished(() => machines.close());
  const image = join(machines.dir, 'primary.img');
  writeFileSync(image, '');
  truncateSync(image, SIZE);
  fill(image);
  machines.start('auxiliary');
  machines.start('dr');
  const primary = machines.start('primary', ['--keep-image']);
  await primary.said('waiting');
  await waitFor(async () => (await machines.status<PrimaryStatus>('primary'))?.hasLease === true, {
    timeoutMs: 30_000,
    what: 'the primary to be able to lead',
  });
  expect(await machines.status<PrimaryStatus>('primary')).toMatchObject({ phase: 'waiting', outcomes: [] });
  const address = { path: machines.socket('primary') };
  await expect(NbdClient.connect({ address, exportName: 'v', connectMs: 1_000 })).rejects.toThrow();
  expect(logOf(machines)).not.toContain('"serving"');
});
