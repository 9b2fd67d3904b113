/** A volume becomes larger while it is served, through kills of the primary and of the DR. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { NbdClient } from '../../src/adapters/nbd/index.ts';
import type { PrimaryStatus } from '../../src/routes/protect/api.ts';
import { BLOCK, stamp } from '../protect-storms/ledger.ts';
import { protectCommand } from '../servers/protect-role.ts';
import { waitFor } from '../servers/wait-for.ts';
import { Machines } from './machines.ts';

const MIB = 1 << 20;
const SIZES = [16, 24, 40].map((each) => each * MIB);

test('a volume grows while it is served, whoever is killed meanwhile, and never shrinks', async () => {
  const [first, ...larger] = SIZES as [number, ...number[]];
  const machines = await Machines.make({ policy: 'zero', size: String(first), ring: '4MiB', leaseS: 1 });
  onTestFinished(() => machines.close());
  await machines.startAll();
  const state = join(machines.dir, 'primary');
  const grow = (size: number) => protectCommand(['grow', '--state', state, '--size', String(size), '--json']);
  const size = async () => (await machines.status<PrimaryStatus>('primary'))?.size;
  const connect = async (name: string) => {
    const client = await NbdClient.connect({ address: { path: machines.socket(name) }, exportName: 'v' });
    onTestFinished(() => client.close().catch(() => undefined));
    return client;
  };
  const written = new Map<number, number>();
  const write = async (client: NbdClient, at: number, version: number) => {
    const block = Math.floor(at / BLOCK);
    await client.write(block * BLOCK, stamp(block, version), false);
    written.set(block, version);
  };
  for (const [round, wanted] of larger.entries()) {
    const before = SIZES[round] as number;
    const old = await connect('primary');
    expect(old.size).toBe(before);
    await write(old, before - BLOCK, 1);
    const smaller = await grow(before - MIB);
    expect([smaller.code, smaller.out]).toEqual([7, expect.stringMatching(/GW7034.*does not shrink/)]);
    // Killed in the middle of it, perhaps; asked again, it goes on.
    const asked = grow(wanted);
    await sleep(150 * (round + 1));
    await machines.role(round === 0 ? 'primary' : 'dr').kill();
    machines.start(round === 0 ? 'primary' : 'dr');
    await asked;
    await machines.role('primary').said('leading');
    expect(SIZES).toContain(await size());
    const isGrown = async () => (await size()) === wanted || (await grow(wanted)).code === 0;
    await waitFor(isGrown, { timeoutMs: 60_000, what: 'the volume to grow' });
    if (round > 0) await write(old, 0, 2);
    const fresh = await connect('primary');
    expect(fresh.size).toBe(wanted);
    await write(fresh, before, 3);
    await write(fresh, wanted - BLOCK, 3);
  }
  await machines.role('primary').kill();
  expect(await machines.promote()).toMatchObject({ manifest: { lost: [], complete: true } });
  const there = await connect('dr');
  expect(there.size).toBe(SIZES.at(-1));
  const content = Buffer.alloc(BLOCK);
  for (const [block, version] of written) {
    await there.read(block * BLOCK, content);
    expect(content.equals(stamp(block, version)), `block ${block}`).toBe(true);
  }
});
