import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, expect, test } from 'vitest';
import type { MountedDisks } from '../../../adapters/linux-boot/index.ts';
import type { RehearseOptions } from './api.ts';
import { planClone } from './clone.ts';
import { insideFiles, parseTold } from './inside.ts';
import { parseProbe } from './probes.ts';

let root = '';
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), 'godwit-rehearse-'));
});
afterEach(() => rmSync(root, { recursive: true, force: true }));

const put = (path: string, text: string) => {
  mkdirSync(join(root, path, '..'), { recursive: true });
  writeFileSync(join(root, path), text);
};
const disks: MountedDisks = {
  filesystems: [
    { mountPoint: '/', uuid: 'aaaa', type: 'btrfs', subvolume: '@' },
    { mountPoint: '/home', uuid: 'aaaa', type: 'btrfs', subvolume: '@home' },
    { mountPoint: '/boot', uuid: 'bbbb', type: 'ext4' },
  ],
  swaps: [],
  crypts: [{ name: 'c', uuid: 'cccc' }],
  devices: ['vdb1', 'vdb2'],
  deviceOf: new Map([
    ['aaaa', '/dev/vdb2'],
    ['bbbb', '/dev/vdb1'],
  ]),
  layers: new Set(),
  bootDisk: '/dev/vdb',
};
const options = (probes: readonly string[], address?: string): RehearseOptions => ({
  root,
  state: '/s',
  work: '/w',
  probes: probes.map(parseProbe),
  timeout: 1,
  address,
  megabytes: 512,
  accelerator: 'tcg',
});

test('probes of all kinds are understood, and nothing else', () => {
  expect(parseProbe('http://:8080/health?x=1')).toMatchObject({ kind: 'http', port: 8080 });
  const named = parseProbe('https://shop.example/');
  expect(named).toMatchObject({ kind: 'http', port: 443 });
  expect(named.kind === 'http' && named.url.host).toBe('shop.example');
  expect(parseProbe('http://:80')).toMatchObject({ kind: 'http', port: 80 });
  expect(parseProbe('tcp:5432')).toMatchObject({ kind: 'tcp', port: 5432 });
  expect(parseProbe('exec:test -e /x')).toMatchObject({ kind: 'exec', command: 'test -e /x' });
  for (const wrong of ['ftp://x', 'tcp:0', 'tcp:70000', 'tcp:', 'exec:', 'shop:80', 'http://:0/'])
    expect(() => parseProbe(wrong), wrong).toThrow(expect.objectContaining({ code: 'GW1001' }));
});

test('the clone has the files, cards and disks that QEMU has, and each device once', () => {
  put('etc/fstab', 'UUID=old / btrfs subvol=@ 0 0\nUUID=gone /data ext4 defaults 0 2\n');
  put('etc/crypttab', 'c UUID=cccc none luks\n');
  put('etc/network/interfaces', 'iface ens3 inet static\n  address 10.9.8.7/24\niface ens4 inet dhcp\n');
  const linux = '\tlinux /vmlinuz root=UUID=old ro quiet mitigations=off resume=/dev/sda5\n';
  put('boot/grub/grub.cfg', `menuentry 'Debian' {\n${linux}}\n`);
  const { laid, network, words, devices, mounts } = planClone(root, disks, options(['tcp:80', 'exec:true']));
  const text = (path: string) => {
    const found = laid.find((one) => one.path === path);
    return found !== undefined && 'text' in found ? found.text : '';
  };
  expect(text('etc/fstab')).toMatch(/^UUID=aaaa \/ btrfs/m);
  expect(text('etc/fstab')).toMatch(/^#.*\/data/m);
  expect(text('etc/crypttab')).toMatch(/^#.*c UUID=cccc/m);
  expect(network.macs).toHaveLength(2);
  for (const [at, card] of ['ens3', 'ens4'].entries()) {
    const link = laid.find(({ path }) => path.includes(card));
    expect(link !== undefined && 'text' in link && link.text).toContain(network.macs[at]);
  }
  expect(network.address).toEqual({ ip: '10.9.8.7', prefix: 24 });
  expect(words).toBe('root=UUID=aaaa rw rootflags=subvol=@ console=ttyS0 panic=5 no_timer_check mitigations=off');
  expect(devices).toEqual([
    { device: '/dev/vdb2', mount: join(root, '/') },
    { device: '/dev/vdb1', mount: join(root, '/boot') },
  ]);
  expect(mounts).toEqual(['/home', '/boot']);
});

test('of several addresses somebody must say which one is asked', () => {
  put('etc/systemd/network/a.network', '[Network]\nAddress=10.0.0.1/24\nAddress=10.0.1.1/24\n');
  expect(() => planClone(root, disks, options(['tcp:80']))).toThrow('10.0.0.1/24, 10.0.1.1/24');
  expect(planClone(root, disks, options(['tcp:80'], '10.0.1.1/24')).network.address?.ip).toBe('10.0.1.1');
  expect(planClone(root, disks, options(['exec:true'])).network.address?.ip).toBe('10.0.0.1');
  expect(() => planClone(root, disks, options([], '10.0.1.1'))).toThrow('--address');
});

test('what the clone tells is read line by line, and a half line is none', () => {
  const told = parseTold('unit a.service\r\nprobe 1 7 not yet\r\nprobe 1 0 \r\nsystem degraded\r\nprobe 2 1 ha');
  expect(told.state).toBe('degraded');
  expect(told.failedUnits).toEqual(['a.service']);
  expect([...told.commands]).toEqual([[1, { code: 0, said: '' }]]);
  expect(parseTold('system runn').state).toBeUndefined();
});

test('commands are numbered as the probes are', () => {
  const paths = insideFiles(['tcp:1', 'exec:a', 'exec:b'].map(parseProbe)).map(({ path }) => path);
  expect(paths.filter((path) => path.includes('probe-'))).toEqual([
    'etc/godwit-rehearsal/probe-1',
    'etc/godwit-rehearsal/probe-2',
  ]);
});
