/** How the clone differs from the moved system: its files as `adapt` would make them for QEMU, and its network. */
import { join } from 'node:path';
import {
  cardText,
  configuredAddresses,
  configuredCards,
  kernelWords,
  type Laid,
  type MountedDisks,
  VIRTUAL_DRIVERS,
} from '../../../adapters/linux-boot/index.ts';
import type { MachineNetwork } from '../../../adapters/qemu/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import { fileChanges } from '../adapt/texts.ts';
import type { RehearseOptions } from './api.ts';
import { insideFiles } from './inside.ts';

export interface ClonePlan {
  readonly laid: readonly Laid[];
  readonly network: Pick<MachineNetwork, 'address' | 'macs'>;
  /** Of its kernel. */
  readonly words: string;
  /** Each file system's device, once, and where it is mounted. */
  readonly devices: readonly { readonly device: string; readonly mount: string }[];
  /** Mount points below the root, as the clone will see them. */
  readonly mounts: readonly string[];
}

/** @throws GodwitError GW1001 when somebody must say which address is meant */
export function planClone(root: string, disks: MountedDisks, options: RehearseOptions): ClonePlan {
  const { probes } = options;
  const cards = configuredCards(root).map(cardText);
  // Without a configuration there is a card all the same: something in it may ask for an address.
  const macs = (cards.length > 0 ? cards : ['']).map((_, at) => `52:54:00:67:77:${hex(at + 1)}`);
  const hardware = {
    version: 1,
    firmware: 'bios',
    hypervisor: 'qemu',
    drivers: VIRTUAL_DRIVERS,
    nics: macs.map((mac) => ({ mac, drivers: ['virtio_net'] })),
  } as const;
  const changes = fileChanges({
    root,
    hardware,
    // Of containers and swap areas the clone has none.
    disks: { ...disks, crypts: [], swaps: [] },
    modules: VIRTUAL_DRIVERS,
    nics: new Map(cards.map((card, at) => [card, macs[at] ?? ''])),
  });
  const devices = new Map<string, string>();
  for (const { uuid, mountPoint } of disks.filesystems) {
    const device = disks.deviceOf.get(uuid);
    if (device !== undefined && !devices.has(device)) devices.set(device, join(root, mountPoint));
  }
  return {
    laid: [...changes, ...insideFiles(probes)],
    network: { address: addressOf(root, options), macs },
    words: [...wordsOfRoot(disks), 'console=ttyS0', 'panic=5', 'no_timer_check', ...kernelWords(root)].join(' '),
    devices: [...devices].map(([device, mount]) => ({ device, mount })),
    mounts: disks.filesystems.flatMap(({ mountPoint }) => (mountPoint === '/' ? [] : [mountPoint])),
  };
}

function hex(number: number): string {
  return number.toString(16).padStart(2, '0');
}

function wordsOfRoot({ filesystems }: MountedDisks): readonly string[] {
  const root = filesystems.find(({ mountPoint }) => mountPoint === '/');
  const subvolume = root?.subvolume ?? '';
  return [`root=UUID=${root?.uuid}`, 'rw', ...(subvolume === '' ? [] : [`rootflags=subvol=${subvolume}`])];
}

function addressOf(root: string, { address, probes }: RehearseOptions): MachineNetwork['address'] {
  if (address !== undefined) {
    const [, ip = '', prefix = ''] = /^(\d{1,3}(?:\.\d{1,3}){3})\/(\d{1,2})$/.exec(address) ?? [];
    if (ip === '' || Number(prefix) > 32)
      throw new GodwitError('GW1001', `--address ${address} is not valid; accepted: 192.0.2.7/24`);
    return { ip, prefix: Number(prefix) };
  }
  const found = configuredAddresses(root);
  if (found.length > 1 && probes.some(({ kind }) => kind !== 'exec'))
    throw new GodwitError(
      'GW1001',
      `The moved system has the addresses ${found.map(({ ip, prefix }) => `${ip}/${prefix}`).join(', ')}: say with --address which one the probes go to`,
    );
  return found[0];
}
