/** An auxiliary and a DR lose their disks, one after the other, and are replaced while the volume is written to. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { expect, onTestFinished, test } from 'vitest';
import { NbdClient } from '../../src/adapters/nbd/index.ts';
import type { Sharing } from '../../src/routes/protect/api.ts';
import { BLOCK, stamp } from '../protect-storms/ledger.ts';
import { protectCommand } from '../servers/protect-role.ts';
import { Machines } from './machines.ts';

const BLOCKS = 2048;

const SHARINGS: readonly Sharing[] = ['lane', 'nbd'];

test.each(SHARINGS)(
  'an auxiliary and a DR whose disks are lost are replaced, and the new ones can stand in for the primary (shared area by %s)',
  async (sharing) => {
    const size = String(BLOCKS * BLOCK);
    const machines = await Machines.make({ policy: 'zero', size, ring: '4MiB', leaseS: 1, sharing });
    onTestFinished(() => machines.close());
    await machines.startAll();
    const address = { path: machines.socket('primary') };
    const client = await NbdClient.connect({ address, exportName: 'v' });
    onTestFinished(() => client.close().catch(() => undefined));
    const versions = Array.from({ length: BLOCKS }, () => 0);
    const write = async (version: number, every: number) => {
      for (let block = version; block < BLOCKS; block += every) {
        await client.write(block * BLOCK, stamp(block, version), false);
        versions[block] = version;
      }
    };
    await write(1, 3);
    for (const [version, name] of [
      [2, 'auxiliary'],
      [3, 'dr'],
    ] as const) {
      await machines.role(name).kill();
      rmSync(join(machines.dir, name), { recursive: true });
      rmSync(join(machines.dir, `${name}.img`), { force: true });
      const fresh = machines.start(name, ['--replace']);
      await fresh.said('incomplete');
      const writing = write(version, 5);
      if (name === 'dr') {
        const { code, out } = await protectCommand(['promote', '--state', join(machines.dir, 'dr'), '--yes', '--json']);
        expect([code, out]).toEqual([7, expect.stringMatching(/GW7032|GW7012/)]);
      }
      await fresh.said('complete', 60_000);
      await writing;
    }
    await machines.areLevel();
    await machines.role('primary').kill();
    expect(await machines.promote()).toMatchObject({ stale: false, manifest: { lost: [], complete: true } });
    const there = await NbdClient.connect({ address: { path: machines.socket('dr') }, exportName: 'v' });
    onTestFinished(() => there.close());
    const content = Buffer.alloc(BLOCK);
    for (const [block, version] of versions.entries()) {
      await there.read(block * BLOCK, content);
      const wanted = version === 0 ? Buffer.alloc(BLOCK) : stamp(block, version);
      expect(content.equals(wanted), `block ${block}`).toBe(true);
    }
  },
);
