import { createHash } from 'node:crypto';
import {
  AdaptationRecord,
  distributionOf,
  type Hardware,
  isThere,
  kernelsOf,
  mountedDisks,
  namesIn,
  RECORD,
  readText,
  resolveDrivers,
  rootOf,
  runInside,
  thisMachine,
} from '../../../adapters/linux-boot/index.ts';
import { GodwitError, throwIfAborted } from '../../../kernel/errors.ts';
import type { Finding } from '../../../kernel/finding.ts';
import type { AdaptCommand, AdaptHooks, AdaptOptions, AdaptResult } from './api.ts';
import { makeBootable, type Step } from './boot.ts';
import { pairCards } from './cards.ts';
import { type FileChange, fileChanges } from './texts.ts';
import { requireTools } from './tools.ts';

/** Makes a moved Debian or Ubuntu boot on other hardware. Whatever bars it is said before anything is changed. */
export async function adapt(options: AdaptOptions, hooks: AdaptHooks): Promise<AdaptResult> {
  const root = rootOf(options.root);
  if (root === '/')
    throw new GodwitError('GW1001', '--root / is the running system; the moved one is mounted elsewhere');
  const distribution = distributionOf(readText(root, 'etc/os-release') ?? '');
  if (!distribution.isKnown)
    throw new GodwitError('GW2411', `${root} holds ${distribution.name}: only Debian and Ubuntu are adapted`);
  const disks = await mountedDisks(root, options.swaps);
  const hardware = options.hardware ?? (await thisMachine(disks.devices.map((name) => `/dev/${name}`)));
  requireTools(root, hardware, disks, distribution.name);
  const inside = (command: readonly string[]) =>
    runInside({ root, devices: disks.deviceOf }, command, { GRUB_DISABLE_OS_PROBER: 'true' }, hooks.signal);
  const kernels = await driversOf(root, hardware, inside);
  const { pairs, findings } = pairCards(root, hardware.nics, options.nics);
  const modules = [...new Set(kernels.flatMap((kernel) => kernel.modules))].sort();
  const changes = fileChanges({ root, hardware, disks, modules, nics: pairs });
  const record = new AdaptationRecord(root);
  const steps = makeBootable({ root, hardware, disks, kernels, record, inside });
  const commands: AdaptCommand[] = [];
  if (!options.isDryRun) for (const change of changes) write(record, change, hooks);
  const inputs = digest([JSON.stringify({ hardware, disks: disks.filesystems }), ...changes.map(({ path }) => path)]);
  const isMoved = changes.length > 0;
  for (const step of steps) {
    if (!isMoved && record.isDone(step.name, `${inputs} ${step.result()}`)) continue;
    throwIfAborted(hooks.signal);
    if (options.isDryRun) {
      commands.push({ command: step.name, seconds: 0 });
      continue;
    }
    hooks.onEvent({ type: 'event', kind: 'runs', command: step.name });
    commands.push(await timed(step));
  }
  // What the steps were made of is noted as a second run sees it: with nothing left to change.
  if (!options.isDryRun) {
    const after = digest([JSON.stringify({ hardware, disks: disks.filesystems })]);
    for (const step of steps) record.setDone(step.name, `${after} ${step.result()}`);
  }
  return {
    version: 1,
    command: 'adapt',
    dryRun: options.isDryRun,
    root,
    distribution: distribution.name,
    hardware,
    kernels,
    changes: changes.map(({ path, notes }) => ({ path, notes })),
    commands,
    kept: keptFiles(root),
    findings: [...findings, ...remarks(root, hardware)],
    record: `${root}/${RECORD}`,
  };
}

function write(record: AdaptationRecord, change: FileChange, hooks: AdaptHooks): void {
  throwIfAborted(hooks.signal);
  if ('link' in change) record.link(change.path, change.link, change.why);
  else if ('text' in change) record.write(change.path, change.text, change.why);
  else record.remove(change.path, change.why);
  hooks.onEvent({ type: 'event', kind: 'changed', path: change.path, notes: change.notes });
}

async function timed(step: Step): Promise<AdaptCommand> {
  const startedAt = performance.now();
  await step.run();
  return { command: step.name, seconds: (performance.now() - startedAt) / 1000 };
}

function digest(parts: readonly string[]): string {
  const hash = createHash('sha256');
  for (const part of parts) hash.update(part).update('\0');
  return hash.digest('hex').slice(0, 32);
}

async function driversOf(
  root: string,
  hardware: Hardware,
  inside: (command: readonly string[]) => ReturnType<typeof runInside>,
): Promise<AdaptResult['kernels']> {
  // Whoever may not make namespaces and mounts would else be told of missing drivers.
  const { code, stderr } = await inside(['true']);
  if (code !== 0) throw new GodwitError('GW5411', `Nothing can be run inside ${root}: ${stderr.trim()}`);
  const kernels: { version: string; modules: readonly string[] }[] = [];
  for (const version of kernelsOf(root)) {
    const disk = await resolveDrivers(root, version, hardware.drivers, inside);
    const missing = [...disk.missing];
    for (const nic of hardware.nics)
      missing.push(...(await resolveDrivers(root, version, nic.drivers, inside)).missing);
    if (missing.length > 0)
      throw new GodwitError('GW2413', `Kernel ${version} has no driver for ${missing.join(', ')}`, {
        details: { missing },
      });
    kernels.push({ version, modules: disk.modules });
  }
  return kernels;
}

function keptFiles(root: string): readonly string[] {
  const keys = namesIn(root, 'etc/ssh').filter((name) => /^ssh_host_.*_key$/.test(name));
  return ['etc/machine-id', ...keys.map((name) => `etc/ssh/${name}`)].filter((path) => isThere(root, path));
}

function remarks(root: string, hardware: Hardware): readonly Finding[] {
  const findings: Finding[] = [];
  const isEfiPackage = isThere(root, 'var/lib/dpkg/info/grub-efi-amd64.list');
  if (hardware.firmware === 'uefi' && !isEfiPackage)
    findings.push({
      severity: 'warning',
      check: 'adapt.grub-package',
      message: 'Updates of GRUB will not reach the EFI system partition: the package for BIOS is installed',
      remedy: 'After the first boot: apt-get install grub-efi-amd64',
    });
  if (hardware.firmware === 'bios' && isThere(root, 'var/lib/dpkg/info/grub-pc.list'))
    findings.push({
      severity: 'warning',
      check: 'adapt.grub-disk',
      message: 'The package of GRUB remembers the old disk for its updates',
      remedy: 'After the first boot: dpkg-reconfigure grub-pc',
    });
  return findings;
}
