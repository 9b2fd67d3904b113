import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireTools } from './tools.ts';

let root = '';
const put = (path: string) => {
  mkdirSync(dirname(join(root, path)), { recursive: true });
  writeFileSync(join(root, path), '');
};
const disks = (...layers: string[]) => ({
  layers: new Set(layers),
  bootDisk: '/dev/sda',
  filesystems: [{ mountPoint: '/', type: 'ext4' }],
});

beforeAll(() => {
  root = mkdtempSync(join(tmpdir(), 'godwit-tools-'));
  for (const name of ['update-initramfs', 'grub-install', 'update-grub']) put(`usr/sbin/${name}`);
  put('usr/lib/grub/i386-pc/kernel.img');
  put('boot/vmlinuz-6.1.0');
  put('lib/modules/6.1.0/modules.dep');
});
afterAll(() => rmSync(root, { recursive: true, force: true }));

test('what lies below the root asks for its package by name, and is content with it', () => {
  const bios = { firmware: 'bios' } as const;
  const require = (...layers: string[]) => requireTools(root, bios, disks(...layers), 'Debian');
  require();
  for (const [layer, hook, what] of [
    ['lvm', 'lvm2', 'lvm2'],
    ['crypt', 'cryptroot', 'cryptsetup-initramfs'],
    ['raid', 'mdadm', 'mdadm'],
  ] as const) {
    const lacks = { code: 'GW2411', message: expect.stringMatching(`lacks ${what},`) };
    expect(() => require(layer), layer).toThrow(expect.objectContaining(lacks));
    put(`usr/share/initramfs-tools/hooks/${hook}`);
    require(layer);
  }
  const xfs = { ...disks(), filesystems: [{ mountPoint: '/', type: 'xfs' }] };
  expect(() => requireTools(root, bios, xfs, 'Debian')).toThrow('lacks xfsprogs,');
});

test('each firmware asks for what boots it', () => {
  expect(() => requireTools(root, { firmware: 'uefi' }, disks(), 'Debian')).toThrow('lacks grub-efi-amd64-bin,');
  put('usr/lib/grub/x86_64-efi/kernel.img');
  expect(() => requireTools(root, { firmware: 'uefi' }, disks(), 'Debian')).toThrow('EFI system partition');
  const nowhere = { ...disks(), bootDisk: undefined };
  expect(() => requireTools(root, { firmware: 'bios' }, nowhere, 'Debian')).toThrow('no disk to write the boot loader');
});
