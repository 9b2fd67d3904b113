/** What is mounted below the staging root, and on which disks it lies. */
import { existsSync, readdirSync, readFileSync, realpathSync, statSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { GodwitError } from '../../kernel/errors.ts';
import { run } from './run.ts';
import type { TargetCrypt, TargetDisks, TargetFilesystem } from './target.ts';

export interface MountedDisks extends TargetDisks {
  /** Names of block devices, without /dev. */
  readonly devices: readonly string[];
  /** By UUID, as paths. */
  readonly deviceOf: ReadonlyMap<string, string>;
  /** What the devices are made of: `lvm`, `crypt`, `raid`. */
  readonly layers: ReadonlySet<string>;
  /** The whole disk that boots a BIOS: the one that /boot lies on. */
  readonly bootDisk: string | undefined;
}

interface Mount {
  readonly mountPoint: string;
  readonly root: string;
  readonly type: string;
  readonly source: string;
}

/** `swaps` are devices that are to be swap areas of the moved system. */
export async function mountedDisks(root: string, swaps: readonly string[]): Promise<MountedDisks> {
  const mounts = mountsBelow(root).filter(({ source }) => source.startsWith('/dev/'));
  if (!mounts.some(({ mountPoint }) => mountPoint === '/'))
    throw new GodwitError('GW2412', `${root} is no mounted file system`);
  const filesystems: TargetFilesystem[] = [];
  const deviceOf = new Map<string, string>();
  for (const { mountPoint, root: inside, type, source } of mounts) {
    const uuid = await uuidOf(source);
    deviceOf.set(uuid, source);
    filesystems.push({
      mountPoint,
      uuid,
      type,
      ...(type === 'btrfs' ? { subvolume: inside.replace(/^\/+/, '') } : {}),
    });
  }
  const swapIds: string[] = [];
  for (const swap of swaps) {
    const uuid = await uuidOf(swap);
    swapIds.push(uuid);
    deviceOf.set(uuid, swap);
  }
  const devices = [...new Set([...mounts.map(({ source }) => source), ...swaps].map(nameOf))];
  const layers = new Set<string>();
  const crypts: TargetCrypt[] = [];
  for (const device of devices) look(device, layers, crypts);
  const boot = ['/boot', '/'].flatMap((point) => mounts.filter(({ mountPoint }) => mountPoint === point))[0];
  return {
    filesystems,
    swaps: swapIds,
    crypts,
    devices,
    deviceOf,
    layers,
    bootDisk: boot === undefined ? undefined : diskOf(nameOf(boot.source)),
  };
}

/** Of several mounts on one place, the last is seen. */
export function parseMounts(mountinfo: string, root: string): readonly Mount[] {
  const found = new Map<string, Mount>();
  for (const line of mountinfo.split('\n')) {
    const [left = '', right = ''] = line.split(' - ');
    const at = plain(left.split(' ')[4] ?? '');
    const [type = '', source = ''] = right.split(' ');
    const mountPoint = at === root ? '/' : root === '/' ? at : at.startsWith(`${root}/`) ? at.slice(root.length) : '';
    if (mountPoint === '') continue;
    found.set(mountPoint, { mountPoint, root: plain(left.split(' ')[3] ?? ''), type, source: plain(source) });
  }
  return [...found.values()].sort((a, b) => (a.mountPoint < b.mountPoint ? -1 : 1));
}

function mountsBelow(root: string): readonly Mount[] {
  return parseMounts(readFileSync('/proc/self/mountinfo', 'utf8'), realpathSync(root));
}

function plain(field: string): string {
  return field.replace(/\\([0-7]{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

async function uuidOf(device: string): Promise<string> {
  const { code, stdout } = await run('blkid', ['-p', '-s', 'UUID', '-o', 'value', device]);
  const uuid = stdout.trim();
  if (code !== 0 || uuid === '') throw new GodwitError('GW2412', `${device} has no UUID that blkid can tell`);
  return uuid;
}

/** /dev/mapper/x is dm-N to the kernel. */
function nameOf(device: string): string {
  const { rdev } = statSync(device);
  const [major, minor] = [(rdev >> 8) & 0xfff, (rdev & 0xff) | ((rdev >> 12) & 0xfff00)];
  return basename(realpathSync(`/sys/dev/block/${major}:${minor}`));
}

function look(device: string, layers: Set<string>, crypts: TargetCrypt[]): void {
  const at = `/sys/class/block/${device}`;
  const uuid = text(join(at, 'dm/uuid'));
  if (uuid.startsWith('LVM-')) layers.add('lvm');
  const crypt = /^CRYPT-\w+-([0-9a-f]{8})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{4})([0-9a-f]{12})-(.+)$/.exec(uuid);
  if (crypt !== null) {
    layers.add('crypt');
    const one = { name: crypt[6] ?? '', uuid: crypt.slice(1, 6).join('-') };
    if (!crypts.some(({ name }) => name === one.name)) crypts.push(one);
  }
  if (existsSync(join(at, 'md'))) layers.add('raid');
  for (const below of existsSync(join(at, 'slaves')) ? readdirSync(join(at, 'slaves')) : [])
    look(below, layers, crypts);
}

/** The disk that a partition is of; none for what is no partition. */
function diskOf(device: string): string | undefined {
  const at = realpathSync(`/sys/class/block/${device}`);
  return existsSync(join(at, 'partition')) ? `/dev/${basename(dirname(at))}` : undefined;
}

function text(file: string): string {
  try {
    return readFileSync(file, 'utf8').trim();
  } catch {
    return '';
  }
}
