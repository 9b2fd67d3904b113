/**
 * Boots a copy-on-write clone of the staging root in a virtual machine that
 * nothing gets out of, while the source runs, and asks its services.
 */
import { accessSync, constants, mkdirSync, rmSync, statSync } from 'node:fs';
import { createServer } from 'node:net';
import { join } from 'node:path';
import {
  distributionOf,
  freeze,
  makeStart,
  mountedDisks,
  type RehearsalStart,
  readText,
  refreshDevices,
  rootOf,
} from '../../../adapters/linux-boot/index.ts';
import { type Accelerator, cloneDevice, type Forward, Machine, missingPrograms } from '../../../adapters/qemu/index.ts';
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import type { RehearseHooks, RehearseOptions, RehearseResult } from './api.ts';
import { type ClonePlan, planClone } from './clone.ts';
import { standStill } from './stand-still.ts';
import { SILENT, type Watched, watch } from './watch.ts';

/** Some machines offer KVM in which common kernels hang: then it is tried without. */
const KVM_SILENCE = 45;
const SERIAL = 'serial.log';
const LEFT_OVER = ['start', 'start.view', 'monitor', 'told.log', 'errors'];

export async function rehearse(options: RehearseOptions, hooks: RehearseHooks): Promise<RehearseResult> {
  const startedAt = performance.now();
  const root = rootOf(options.root);
  const distribution = await check(root, options);
  const disks = await mountedDisks(root, []);
  planClone(root, disks, options);
  await using still = await standStill(options.state, hooks);
  const heldAt = performance.now();
  // Once more: rounds went on until now.
  const plan = planClone(root, disks, options);
  mkdirSync(options.work, { recursive: true, mode: 0o700 });
  mustBeElsewhere(options.work, plan);
  const leftOver = [SERIAL, ...LEFT_OVER, ...plan.devices.map((_, at) => cloneName(at))];
  try {
    const { mounts, laid } = plan;
    const start = await makeStart({ root, mounts, work: join(options.work, 'start'), laid }, hooks.signal);
    const seconds = (performance.now() - heldAt) / 1000;
    hooks.onEvent({ type: 'event', kind: 'initramfs', kernel: start.version, seconds });
    await using _frozen = await freeze(plan.devices.map(({ mount }) => mount));
    await refreshDevices(plan.devices.map(({ device }) => device));
    const { watched, accelerator } = await bootOnce(plan, start, options, hooks);
    const hasFailed = watched.because !== undefined;
    // All that it said is kept of one that failed.
    if (hasFailed) leftOver.shift();
    return {
      version: 1,
      command: 'rehearse',
      outcome: hasFailed ? 'failed' : 'passed',
      ...watched,
      root,
      distribution,
      kernel: start.version,
      accelerator,
      laid: laid.map(({ path }) => path),
      betweenRounds: still.between,
      ...(hasFailed ? { serial: join(options.work, SERIAL) } : {}),
      heldSeconds: (performance.now() - heldAt) / 1000,
      durationSeconds: (performance.now() - startedAt) / 1000,
    };
  } finally {
    for (const name of leftOver) rmSync(join(options.work, name), { recursive: true, force: true });
  }
}

/** Starts the clone and follows it; without KVM when it hangs in that. */
async function bootOnce(
  plan: ClonePlan,
  start: RehearsalStart,
  options: RehearseOptions,
  hooks: RehearseHooks,
): Promise<{ readonly watched: Watched; readonly accelerator: Accelerator }> {
  const forwards: Forward[] = [];
  const hostPorts = new Map<number, number>();
  for (const [at, probe] of options.probes.entries()) {
    if (probe.kind === 'exec') continue;
    const hostPort = await freePort();
    forwards.push({ hostPort, port: probe.port });
    hostPorts.set(at, hostPort);
  }
  const attempt = async (accelerator: Accelerator, silence?: number): Promise<Watched> => {
    const devices = plan.devices.map(({ device }) => device);
    const disks = devices.map((_, at) => join(options.work, cloneName(at)));
    for (const [at, file] of disks.entries()) {
      const failed = await cloneDevice(devices[at] ?? '', file);
      if (failed !== undefined) throw new GodwitError('GW2421', `${devices[at]} cannot be cloned: ${failed}`);
    }
    hooks.onEvent({ type: 'event', kind: 'cloned', devices });
    throwIfAborted(hooks.signal);
    const { kernel, initrd } = start;
    const { megabytes, work: dir, probes, timeout } = options;
    const network = { ...plan.network, forwards };
    await using machine = Machine.start({
      dir,
      accelerator,
      megabytes,
      kernel,
      initrd,
      words: plan.words,
      disks,
      network,
    });
    hooks.onEvent({ type: 'event', kind: 'started', accelerator });
    return await watch(machine, { probes, hostPorts, timeout, silence }, hooks);
  };
  if (options.accelerator !== 'auto')
    return { watched: await attempt(options.accelerator), accelerator: options.accelerator };
  if (hasKvm()) {
    const watched = await attempt('kvm', KVM_SILENCE);
    if (watched.because !== SILENT) return { watched, accelerator: 'kvm' };
  }
  return { watched: await attempt('tcg'), accelerator: 'tcg' };
}

function cloneName(at: number): string {
  return `clone-${at}.qcow2`;
}

/** What bars a rehearsal, before anything waits for it. Gives the name of the distribution. */
async function check(root: string, options: RehearseOptions): Promise<string> {
  if (root === '/')
    throw new GodwitError('GW1001', '--root / is the running system; the moved one is mounted elsewhere');
  if (process.arch !== 'x64') throw new GodwitError('GW2421', `Clones are booted on x64, and this is ${process.arch}`);
  const missing = await missingPrograms();
  if (missing.length > 0)
    throw new GodwitError('GW2421', `Programs are missing: apt-get install ${missing.join(' ')}`, {
      details: { missing },
    });
  if (options.accelerator === 'kvm' && !hasKvm())
    throw new GodwitError('GW2421', '/dev/kvm is not there, or may not be opened; --accelerator tcg needs none');
  const { isKnown, name } = distributionOf(readText(root, 'etc/os-release') ?? '');
  if (!isKnown)
    throw new GodwitError('GW2411', `${root} holds ${name}: only Debian and Ubuntu are adapted, and rehearsed`);
  return name;
}

/** What is frozen cannot be written to: the clone's own writes go elsewhere. */
function mustBeElsewhere(work: string, { devices }: ClonePlan): void {
  const { dev } = statSync(work);
  if (devices.some(({ mount }) => statSync(mount).dev === dev))
    throw new GodwitError(
      'GW2421',
      `${work} lies on a file system of the moved system; --work names a folder elsewhere`,
    );
}

function hasKvm(): boolean {
  try {
    accessSync('/dev/kvm', constants.R_OK | constants.W_OK);
    return true;
  } catch {
    return false;
  }
}

async function freePort(): Promise<number> {
  const server = createServer();
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(0, '127.0.0.1', resolve);
  });
  const address = server.address();
  await new Promise((resolve) => server.close(resolve));
  return typeof address === 'object' && address !== null ? address.port : 0;
}
