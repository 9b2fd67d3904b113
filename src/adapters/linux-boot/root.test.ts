import {
  lstatSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import { parseMounts } from './disks.ts';
import { isThere, place, readText } from './inside-root.ts';
import { lackingModules } from './kernels.ts';
import { loadKernel, startOf } from './kexec.ts';
import { configuredCards, networkChanges } from './network.ts';
import { AdaptationRecord, RECORD } from './record.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'godwit-root-'));
  mkdirSync(join(root, 'etc'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

test('links of the moved system lead to its own files, never to those of this machine', () => {
  symlinkSync('/etc', join(root, 'absolute'));
  symlinkSync('../../../../../../etc', join(root, 'climbing'));
  symlinkSync('/etc/os-release', join(root, 'etc/release'));
  writeFileSync(join(root, 'etc/os-release'), 'own');
  expect(place(root, 'absolute/fstab')).toBe(join(root, 'etc/fstab'));
  expect(place(root, 'climbing/fstab')).toBe(join(root, 'etc/fstab'));
  expect(place(root, '../../etc/fstab')).toBe(join(root, 'etc/fstab'));
  expect(readText(root, 'etc/release')).toBe('own');
  expect(isThere(root, 'absolute/passwd')).toBe(false);
  symlinkSync('b', join(root, 'a'));
  symlinkSync('a', join(root, 'b'));
  expect(() => place(root, 'a/x')).toThrow('circle');
  expect(() => readText(root, 'a')).toThrow('circle');
});

test('what is replaced is kept first, once, and goes back as it was', () => {
  writeFileSync(join(root, 'etc/fstab'), 'first', { mode: 0o640 });
  symlinkSync('somewhere', join(root, 'etc/unit'));
  const record = new AdaptationRecord(root);
  record.write('etc/fstab', 'second', 'test');
  record.write('etc/new/made', 'x', 'test');
  record.link('etc/unit', '/dev/null', 'test');
  // Another run knows what was there at first.
  const again = new AdaptationRecord(root);
  again.write('etc/fstab', 'third', 'test');
  again.setDone('step', 'a');
  expect(new AdaptationRecord(root).isDone('step', 'a')).toBe(true);
  expect(readFileSync(join(root, 'etc/fstab'), 'utf8')).toBe('third');
  expect(lstatSync(join(root, 'etc/fstab')).mode & 0o777).toBe(0o640);
  expect(readFileSync(join(root, RECORD, 'before/etc/fstab'), 'utf8')).toBe('first');
  expect(new AdaptationRecord(root).kept.map(({ path, was }) => `${path} ${was}`)).toEqual([
    'etc/fstab kept',
    'etc/new/made nothing',
    'etc/unit kept',
  ]);
  expect(new AdaptationRecord(root).undo()).toEqual(['etc/unit', 'etc/new/made', 'etc/fstab']);
  expect(readFileSync(join(root, 'etc/fstab'), 'utf8')).toBe('first');
  expect(lstatSync(join(root, 'etc/fstab')).mode & 0o777).toBe(0o640);
  expect(readlinkSync(join(root, 'etc/unit'))).toBe('somewhere');
  expect(isThere(root, 'etc/new/made')).toBe(false);
  expect(isThere(root, RECORD)).toBe(false);
});

test('what is kept and taken away lies in the moved system, wherever its links lead', () => {
  const other = mkdtempSync(join(tmpdir(), 'godwit-other-'));
  try {
    writeFileSync(join(other, 'device.map'), 'of this machine');
    symlinkSync(other, join(root, 'boot'));
    symlinkSync(other, join(root, 'var'));
    mkdirSync(join(root, other), { recursive: true });
    writeFileSync(join(root, other, 'device.map'), 'moved');
    const record = new AdaptationRecord(root);
    record.remove('boot/device.map', 'test');
    expect(readFileSync(join(other, 'device.map'), 'utf8')).toBe('of this machine');
    expect(readdirSync(other)).toEqual(['device.map']);
    expect(isThere(root, 'boot/device.map')).toBe(false);
    expect(new AdaptationRecord(root).undo()).toEqual(['boot/device.map']);
    expect(readFileSync(join(root, other, 'device.map'), 'utf8')).toBe('moved');
  } finally {
    rmSync(other, { recursive: true, force: true });
  }
});

test('cards of all four kinds of configuration, and their files for other cards', () => {
  const put = (path: string, text: string) => {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text);
  };
  put('etc/network/interfaces', 'auto ens3\niface ens3 inet static\n address 10.0.0.1/24\n');
  put('etc/systemd/network/br.netdev', '[NetDev]\nName=br0\nKind=bridge\n');
  put('etc/systemd/network/br.network', '[Match]\nName=br0\n');
  put('etc/systemd/network/a.network', '[Match]\nMACAddress=52:54:00:00:00:01\n[Network]\nDHCP=yes\n');
  put('etc/netplan/50.yaml', 'network: {ethernets: {ens4: {dhcp4: true}}}\n');
  put('etc/NetworkManager/system-connections/x', '[connection]\ntype=ethernet\ninterface-name=ens5\n');
  expect(configuredCards(root)).toEqual([
    { name: 'ens3' },
    { mac: '52:54:00:00:00:01' },
    { name: 'ens4' },
    { name: 'ens5' },
  ]);
  const pairs = new Map([
    ['ens3', '52:54:00:aa:00:01'],
    ['52:54:00:00:00:01', '52:54:00:aa:00:02'],
  ]);
  const changes = networkChanges(root, pairs);
  expect(changes.map(({ path }) => path)).toEqual([
    'etc/systemd/network/00-godwit-ens3.link',
    'etc/systemd/network/a.network',
  ]);
  expect(changes[0]?.text).toContain('PermanentMACAddress=52:54:00:aa:00:01\n');
  expect(changes[0]?.text).toContain('Name=ens3\n');
  for (const { path, text } of changes) put(path, text);
  expect(networkChanges(root, pairs)).toEqual([]);
});

test('mounts below a root; the last on a place is the one that is seen', () => {
  const info = [
    '1 0 8:1 / / rw - ext4 /dev/sda1 rw',
    '2 1 8:2 / /mnt/new rw - xfs /dev/sdb1 rw',
    '3 2 8:3 /@home /mnt/new/my\\040home rw shared:1 - btrfs /dev/sdb2 rw',
    '4 2 8:4 / /mnt/new/boot rw - ext4 /dev/sdb3 rw',
    '5 4 8:5 / /mnt/new/boot rw - ext4 /dev/sdb4 rw',
    '6 1 8:6 / /mnt/newer rw - ext4 /dev/sdc1 rw',
  ].join('\n');
  expect(
    parseMounts(info, '/mnt/new').map(({ mountPoint, source, root: inside }) => [mountPoint, source, inside]),
  ).toEqual([
    ['/', '/dev/sdb1', '/'],
    ['/boot', '/dev/sdb4', '/'],
    ['/my home', '/dev/sdb2', '/@home'],
  ]);
});

test('what an initramfs lacks, whatever its modules are packed with', () => {
  const listing =
    'usr/lib/modules/6.1/kernel/drivers/ata/ahci.ko\nx/megaraid_sas.ko.zst\nx/virtio-blk.ko.xz\nx/nvme.conf\n';
  expect(lackingModules(listing, ['ahci', 'megaraid_sas', 'virtio_blk', 'nvme'])).toEqual(['nvme']);
});

test('what the menu starts is found with and without a file system for /boot, through links of the moved system', () => {
  mkdirSync(join(root, 'boot/grub'), { recursive: true });
  const menu = (kernel: string) =>
    writeFileSync(
      join(root, 'boot/grub/grub.cfg'),
      `menuentry 'x' {\n  linux ${kernel} root=UUID=u ro\n  initrd /i\n}\n`,
    );
  writeFileSync(join(root, 'boot/vmlinuz-1'), 'no kernel');
  writeFileSync(join(root, 'i'), '');
  symlinkSync('vmlinuz-1', join(root, 'boot/vmlinuz'));
  const start = { kernel: join(root, 'boot/vmlinuz-1'), initramfs: join(root, 'i'), words: 'root=UUID=u ro' };
  for (const kernel of ['/boot/vmlinuz-1', '/boot/vmlinuz', '/vmlinuz']) {
    menu(kernel);
    expect(startOf(root)).toEqual(start);
  }
  // Whatever the system says to that, it is not loaded, and told with its code.
  expect(() => loadKernel(start)).toThrow(expect.objectContaining({ code: 'GW2415' }));
  menu('/boot/vmlinuz-2');
  expect(() => startOf(root)).toThrow(expect.objectContaining({ code: 'GW2415' }));
  rmSync(join(root, 'boot/grub'), { recursive: true });
  expect(() => startOf(root)).toThrow(expect.objectContaining({ code: 'GW2415' }));
});
