/**
 * Partition tables, written here: the tools for them wait until the whole machine has synced.
 *
 * `mbr` is a root alone. `gpt` boots both firmwares: room for GRUB's own, an EFI system partition, the root.
 */
import { randomBytes, randomInt } from 'node:crypto';
import { closeSync, openSync, readSync, rmSync, truncateSync, writeFileSync, writeSync } from 'node:fs';
import { crc32 } from 'node:zlib';
import { must } from '../files/file-system.ts';

export type Layout = 'mbr' | 'gpt';

const SECTOR = 512;
const MEBI = 2 ** 20 / SECTOR;
/** Also the gap in which GRUB keeps what does not fit into the first sector, where no partition is there for it. */
const FIRST_SECTOR = MEBI;
const ESP_MEGABYTES = 40;
const ENTRIES = 128;
const ENTRY = 128;

const BIOS_BOOT = '21686148-6449-6e6f-744e-656564454649';
const ESP = 'c12a7328-f81f-11d2-ba4b-00a0c93ec93b';
const LINUX = '0fc63daf-8483-4772-8e79-3d69d8477de4';

export async function writeTable(image: string, megabytes: number, layout: Layout): Promise<void> {
  rmSync(image, { force: true });
  writeFileSync(image, '');
  truncateSync(image, megabytes * 2 ** 20);
  const sectors = megabytes * MEBI;
  if (layout === 'mbr') return put(image, 0, mbr({ type: 0x83, first: FIRST_SECTOR, count: sectors - FIRST_SECTOR }));
  const boot = { type: BIOS_BOOT, first: FIRST_SECTOR, last: 2 * FIRST_SECTOR - 1 };
  const esp = { type: ESP, first: 2 * FIRST_SECTOR, last: (2 + ESP_MEGABYTES) * MEBI - 1 };
  const root = { type: LINUX, first: esp.last + 1, last: sectors - FIRST_SECTOR - 1 };
  writeGpt(image, sectors, [boot, esp, root]);
  await must('mkfs.vfat', [
    '-F',
    '16',
    '-n',
    'ESP',
    '--offset',
    String(esp.first),
    image,
    String(ESP_MEGABYTES * 1024),
  ]);
}

/** The number of the partition that holds the root. */
export function rootPartition(image: string): number {
  const type = Buffer.alloc(1);
  const file = openSync(image, 'r');
  readSync(file, type, 0, 1, 450);
  closeSync(file);
  return type[0] === 0xee ? 3 : 1;
}

interface Slice {
  readonly type: string;
  readonly first: number;
  readonly last: number;
}

function mbr({ type, first, count }: { type: number; first: number; count: number }): Buffer {
  const table = Buffer.alloc(SECTOR);
  table.writeUInt32LE(randomInt(1, 2 ** 32), 440);
  table.writeUInt8(0x80, 446);
  // Cylinders and heads are of the past: this is how one says that sectors count.
  table.set([0xfe, 0xff, 0xff], 447);
  table.writeUInt8(type, 450);
  table.set([0xfe, 0xff, 0xff], 451);
  table.writeUInt32LE(first, 454);
  table.writeUInt32LE(count, 458);
  table.writeUInt16LE(0xaa55, 510);
  return table;
}

function writeGpt(image: string, sectors: number, slices: readonly Slice[]): void {
  const entries = Buffer.alloc(ENTRIES * ENTRY);
  for (const [at, { type, first, last }] of slices.entries()) {
    const entry = entries.subarray(at * ENTRY);
    entry.set(guid(type), 0);
    entry.set(randomBytes(16), 16);
    entry.writeBigUInt64LE(BigInt(first), 32);
    entry.writeBigUInt64LE(BigInt(last), 40);
  }
  const size = entries.length / SECTOR;
  const disk = randomBytes(16);
  const header = (own: number, other: number, at: number) => {
    const sector = Buffer.alloc(SECTOR);
    sector.write('EFI PART\0\0\x01\0', 'latin1');
    sector.writeUInt32LE(92, 12);
    sector.writeBigUInt64LE(BigInt(own), 24);
    sector.writeBigUInt64LE(BigInt(other), 32);
    sector.writeBigUInt64LE(BigInt(2 + size), 40);
    sector.writeBigUInt64LE(BigInt(sectors - size - 2), 48);
    sector.set(disk, 56);
    sector.writeBigUInt64LE(BigInt(at), 72);
    sector.writeUInt32LE(ENTRIES, 80);
    sector.writeUInt32LE(ENTRY, 84);
    sector.writeUInt32LE(crc32(entries), 88);
    sector.writeUInt32LE(crc32(sector.subarray(0, 92)), 16);
    return sector;
  };
  put(image, 0, mbr({ type: 0xee, first: 1, count: sectors - 1 }));
  put(image, 1, header(1, sectors - 1, 2));
  put(image, 2, entries);
  put(image, sectors - 1 - size, entries);
  put(image, sectors - 1, header(sectors - 1, 1, sectors - 1 - size));
}

/** The first three groups of a GUID lie the other way round. */
function guid(text: string): Buffer {
  const bytes = Buffer.from(text.replaceAll('-', ''), 'hex');
  bytes.subarray(0, 4).reverse();
  bytes.subarray(4, 6).reverse();
  bytes.subarray(6, 8).reverse();
  return bytes;
}

function put(image: string, sector: number, bytes: Buffer): void {
  const file = openSync(image, 'r+');
  writeSync(file, bytes, 0, bytes.length, sector * SECTOR);
  closeSync(file);
}
