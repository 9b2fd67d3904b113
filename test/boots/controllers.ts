/** Disk controllers and network cards that QEMU has and a general Debian kernel drives. */
import type { Hardware } from '../../src/adapters/linux-boot/index.ts';

export interface Controller {
  readonly name: string;
  /** What `adapt` is told. */
  readonly drivers: readonly string[];
  /** The devices, with the disk `d0` on them. */
  readonly devices: readonly string[];
  /** From the bus to the disk, what /sys says of each step: directory and modalias. */
  readonly sys: readonly (readonly [directory: string, modalias: string])[];
  /** /sys/bus/… that exist with it. */
  readonly buses: readonly string[];
}

const SCSI_DISK = ['0:0:0:0', 'scsi:t-0x00'] as const;
const SLOT = '0000:00:06.0';

export const CONTROLLERS: readonly Controller[] = [
  {
    name: 'virtio-blk',
    drivers: ['virtio_pci', 'virtio_blk'],
    devices: ['virtio-blk-pci,drive=d0,bootindex=1,addr=6'],
    sys: [
      [SLOT, 'pci:v00001AF4d00001001sv00001AF4sd00000002bc01sc00i00'],
      ['virtio1', 'virtio:d00000002v00001AF4'],
    ],
    buses: ['virtio'],
  },
  {
    name: 'virtio-scsi',
    drivers: ['virtio_pci', 'virtio_scsi', 'sd_mod'],
    devices: ['virtio-scsi-pci,id=hba,addr=6', 'scsi-hd,bus=hba.0,drive=d0,bootindex=1'],
    sys: [
      [SLOT, 'pci:v00001AF4d00001004sv00001AF4sd00000008bc01sc00i00'],
      ['virtio1', 'virtio:d00000008v00001AF4'],
      SCSI_DISK,
    ],
    buses: ['virtio', 'scsi'],
  },
  {
    name: 'ahci',
    drivers: ['ahci', 'sd_mod'],
    devices: ['ich9-ahci,id=hba,addr=6', 'ide-hd,bus=hba.0,drive=d0,bootindex=1'],
    sys: [[SLOT, 'pci:v00008086d00002922sv00001AF4sd00001100bc01sc06i01'], SCSI_DISK],
    buses: ['scsi'],
  },
  {
    name: 'nvme',
    drivers: ['nvme'],
    devices: ['nvme,serial=godwit,drive=d0,bootindex=1,addr=6'],
    sys: [[SLOT, 'pci:v00001B36d00000010sv00001AF4sd00001100bc01sc08i02']],
    buses: [],
  },
  {
    name: 'megasas',
    drivers: ['megaraid_sas', 'sd_mod'],
    devices: ['megasas,id=hba,addr=6', 'scsi-hd,bus=hba.0,drive=d0,bootindex=1'],
    sys: [[SLOT, 'pci:v00001000d00000060sv00001000sd00001013bc01sc04i00'], SCSI_DISK],
    buses: ['scsi'],
  },
  {
    name: 'pvscsi',
    drivers: ['vmw_pvscsi', 'sd_mod'],
    devices: ['pvscsi,id=hba,addr=6', 'scsi-hd,bus=hba.0,drive=d0,bootindex=1'],
    sys: [[SLOT, 'pci:v000015ADd000007C0sv000015ADsd000007C0bc01sc00i00'], SCSI_DISK],
    buses: ['scsi'],
  },
];

export interface Card {
  readonly device: string;
  readonly driver: string;
  readonly mac: string;
  /** Its slot, by which systemd would name it ens3, ens9 … */
  readonly slot: number;
}

/** What the source has: ens3, which its configuration names. */
export const SOURCE_CARD: Card = { device: 'virtio-net-pci', driver: 'virtio_net', mac: '52:54:00:00:00:01', slot: 3 };

/** Of each target another one, in another slot. */
export const TARGET_CARDS: Readonly<Record<string, Card>> = {
  'virtio-blk': { device: 'rtl8139', driver: '8139cp', mac: '52:54:00:00:01:01', slot: 8 },
  'virtio-scsi': { device: 'virtio-net-pci', driver: 'virtio_net', mac: '52:54:00:00:01:02', slot: 9 },
  ahci: { device: 'e1000', driver: 'e1000', mac: '52:54:00:00:01:03', slot: 10 },
  nvme: { device: 'e1000e', driver: 'e1000e', mac: '52:54:00:00:01:04', slot: 11 },
  megasas: { device: 'e1000', driver: 'e1000', mac: '52:54:00:00:01:05', slot: 12 },
  pvscsi: { device: 'vmxnet3', driver: 'vmxnet3', mac: '52:54:00:00:01:06', slot: 13 },
};

export function controller(name: string): Controller {
  const found = CONTROLLERS.find((one) => one.name === name);
  if (found === undefined)
    throw new Error(`no controller ${name}; there are ${CONTROLLERS.map((one) => one.name).join(', ')}`);
  return found;
}

/** What a moved system is to boot on. */
export interface Target {
  /** As one writes it: `ahci`, `nvme:uefi`, `ahci:uefi:raid:lvm`. */
  readonly name: string;
  readonly controller: Controller;
  readonly firmware: Hardware['firmware'];
  /** What its root is made of above the partition, from below. */
  readonly layers: readonly Layer[];
}

const LAYERS = ['raid', 'lvm'] as const;
/** A mirror (of one disk: the machines have one), a logical volume. */
export type Layer = (typeof LAYERS)[number];

export function targetOf(name: string): Target {
  const [first = '', ...words] = name.split(':');
  for (const word of words)
    if (!['uefi', ...LAYERS].includes(word)) throw new Error(`${word} is neither uefi nor ${LAYERS.join(' nor ')}`);
  return {
    name,
    controller: controller(first),
    firmware: words.includes('uefi') ? 'uefi' : 'bios',
    layers: LAYERS.filter((layer) => words.includes(layer)),
  };
}

export function cardOf(target: string): Card {
  const card = TARGET_CARDS[target];
  if (card === undefined) throw new Error(`no network card for ${target}`);
  return card;
}
