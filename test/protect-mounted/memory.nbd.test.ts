/** The server of a volume and its user on one host, whose memory the user fills through the volume (trap 21). */
import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { expect, onTestFinished, test } from 'vitest';
import { Mounted } from '../../examples/volume/mounted.ts';
import type { PrimaryStatus } from '../../src/routes/protect/api.ts';
import { MemoryLimit } from '../servers/memory-limit.ts';
import { Machines } from './machines.ts';

const MIB = 1 << 20;
const LIMIT_MS = 240_000;
/** For what takes a few seconds where nothing hangs. */
const HANGS_MS = 60_000;

interface World {
  readonly limit: MemoryLimit;
  readonly machines: Machines;
  readonly volume: Mounted;
}

async function begin(
  group: (limit: MemoryLimit, machines: Machines) => void,
  bytes: number,
): Promise<World | undefined> {
  const limit = MemoryLimit.make('godwit-memory', bytes);
  if (limit === undefined) return undefined;
  onTestFinished(() => limit.close());
  const machines = await Machines.make({ policy: 'barrier', size: '512MiB', ring: '32MiB' });
  onTestFinished(() => machines.close());
  await machines.startAll();
  await machines.attach();
  group(limit, machines);
  const volume = await Mounted.attach(machines.dir, 'user', machines.socket('user'), 'v');
  // First of all: what waits for the volume goes on when it is gone, whatever it hangs in.
  onTestFinished(() => volume.detach());
  await volume.format();
  await volume.mount();
  return { limit, machines, volume };
}

/** What the threads of a process wait for in the kernel. */
function waitsFor(pid: number): string {
  const threads = readdirSync(`/proc/${pid}/task`).map((thread) => {
    const read = (name: string) => readFileSync(`/proc/${pid}/task/${thread}/${name}`, 'utf8');
    const state = read('stat').split(') ')[1]?.[0];
    return state === 'S' ? '' : `${state} ${read('wchan')} ${read('stack').split('\n').slice(0, 12).join(' < ')}`;
  });
  return threads.filter((each) => each !== '').join('; ');
}

/** Writes more than fits, through the page cache, and syncs; gives how it ended, or that it hangs. */
async function fill({ limit, machines, volume }: World, mib: number): Promise<string> {
  const write = `dd if=/dev/zero of=${join(volume.path, 'big')} bs=1M count=${mib} conv=fsync`;
  const child: ChildProcess = spawn('sh', ['-c', `${limit.enter}; exec ${write}`], { stdio: 'ignore' });
  const exit = once(child, 'exit').then(([code, signal]) => `ended with ${signal ?? code}`);
  const end = await Promise.race([exit, sleep(HANGS_MS, 'hangs')]);
  if (end !== 'hangs') return end;
  const places = ['primary', 'attach'].map((name) => `${name}: ${waitsFor(machines.role(name).pid)}`);
  return `hangs; ${places.join('\n')}`;
}

test(
  'a user that fills its memory through the volume does not hang',
  async (context) => {
    const world = await begin(() => {}, 48 * MIB);
    if (world === undefined) return context.skip('no control group with a memory limit can be made here');
    expect(await fill(world, 256)).toBe('ended with 0');
  },
  LIMIT_MS,
);

test(
  'one that shares a limit with the servers of its volume does not hang where those are I/O flushers; else `status` says that they are not',
  async (context) => {
    const group = (limit: MemoryLimit, machines: Machines) => {
      for (const name of ['primary', 'attach']) limit.add(machines.role(name).pid);
    };
    const world = await begin(group, 160 * MIB);
    if (world === undefined) return context.skip('no control group with a memory limit can be made here');
    const { ioFlusher } = (await world.machines.status<PrimaryStatus>('primary')) as PrimaryStatus;
    expect(ioFlusher).toBe(hasRight() ? 'on' : 'denied');
    // Without the right it may wait for its own pages for ever; then only another set-up helps.
    if (ioFlusher !== 'on') return;
    expect(await fill(world, 384)).toBe('ended with 0');
    expect(['primary', 'attach'].filter((name) => world.machines.role(name).isOver)).toEqual([]);
  },
  LIMIT_MS,
);

/** CAP_SYS_RESOURCE. */
function hasRight(): boolean {
  const [, effective] = /^CapEff:\t(\w+)$/m.exec(readFileSync('/proc/self/status', 'utf8')) ?? [];
  return (BigInt(`0x${effective}`) & (1n << 24n)) !== 0n;
}
