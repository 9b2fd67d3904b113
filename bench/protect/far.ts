import { mkdirSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Policy, PrimaryStatus, Sharing } from '../../src/routes/protect/api.ts';
import { note } from '../lib/print.ts';
import { startContender } from '../nbd/contenders.ts';
import { type FioResult, runFio } from '../nbd/fio.ts';
import { World } from './world.ts';

export interface FarOrder {
  readonly dir: string;
  readonly policy: Policy;
  readonly roundTripMs: number;
  readonly depth: number;
  readonly seconds: number;
  readonly ringMiB: number;
  readonly sharing?: Sharing;
}

export interface FarResult extends FioResult {
  /** Bytes on the synchronous lane between primary and DR, each way, of those written in the same time. */
  readonly sentShare: number;
  readonly receivedShare: number;
}

const SIZE_MIB = 256;

/** fio on a protected volume whose DR is so far away. */
export async function measureFar(order: FarOrder): Promise<FarResult> {
  const { dir, policy, roundTripMs, depth, seconds, ringMiB, sharing = 'lane' } = order;
  const own = join(dir, `${policy}-${roundTripMs}-${depth}-${performance.now()}`);
  mkdirSync(own);
  await using world = await World.start({ dir: own, policy, sizeMiB: SIZE_MIB, ringMiB, roundTripMs, sharing });
  const before = await world.status<PrimaryStatus>('primary');
  const result = await runFio({
    ...{ socket: world.socket('primary'), exportName: world.exportName, rw: 'randwrite', durable: false },
    ...{ depth, seconds, sizeMiB: SIZE_MIB },
  });
  const after = await world.status<PrimaryStatus>('primary');
  // Also of the second of warming up: every operation is 4 KiB.
  const written = (after.last - before.last) * 4096;
  const lane = (way: 'sent' | 'received') => (after.peers.dr.order[way] - before.peers.dr.order[way]) / written;
  const far = { ...result, sentShare: lane('sent'), receivedShare: lane('received') };
  note(
    `${policy}, ${roundTripMs} ms, shared by ${sharing}, QD ${depth}: ${result.iops.toFixed(0)} a second, p50 ${result.p50Ms.toFixed(2)} ms; synchronous lane ${(100 * far.sentShare).toFixed(2)} % and ${(100 * far.receivedShare).toFixed(2)} %`,
  );
  return far;
}

/** The same server over a plain file. */
export async function measurePlain(dir: string, depth: number, seconds: number): Promise<FioResult> {
  const image = join(dir, 'plain');
  writeFileSync(image, Buffer.alloc(SIZE_MIB << 20, 1), { flush: true });
  await using server = await startContender('godwit', image, dir);
  const result = await runFio({
    socket: server.socket,
    rw: 'randwrite',
    depth,
    durable: false,
    seconds,
    sizeMiB: SIZE_MIB,
  });
  note(`a plain file, QD ${depth}: ${result.iops.toFixed(0)} a second`);
  return result;
}
