import { expect, test } from 'vitest';
import type { TargetDisks } from '../target.ts';
import { rewriteFstab } from './fstab.ts';

const ROOT = { mountPoint: '/', uuid: 'aaaa-root', type: 'ext4' };
const disks = (more: Partial<TargetDisks> = {}): TargetDisks => ({
  filesystems: [ROOT],
  swaps: [],
  crypts: [],
  ...more,
});

test('however the root was named, it gets the UUID of the target, and every other byte stays', () => {
  for (const name of [
    'UUID=1111-old',
    'LABEL=root',
    'LABEL="my root"'.replace(' ', '\\040'),
    'PARTUUID=2222-02',
    '/dev/sda1',
    '/dev/vg/root',
    '/dev/disk/by-path/pci-0000:00:1f.2-ata-1-part1',
    '/dev/disk/by-id/ata-QEMU-part1',
  ]) {
    const text = `# a comment, with\ttabs  \n\n${name}\t/ \text4   errors=remount-ro 0\t1  \n# end without a line feed`;
    const { text: after, notes } = rewriteFstab(text, disks());
    expect(after).toBe(text.replace(name, 'UUID=aaaa-root'));
    expect(notes).toEqual([`/: UUID=aaaa-root in place of ${name}`]);
    expect(rewriteFstab(after, disks())).toEqual({ text: after, notes: [] });
  }
});

test('what needs no device stays: networks, memory, binds, files, what is mounted by hand or may be missing', () => {
  const kept = [
    'nas:/home /home nfs rw 0 0',
    '//nas/x /x cifs credentials=/root/c 0 0',
    'tmpfs /tmp tmpfs size=1g 0 0',
    '/srv/a /srv/b none bind 0 0',
    '/swapfile none swap sw 0 0',
    '/dev/zram0 none swap sw 0 0',
    '/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0',
    'UUID=old-usb /usb ext4 nofail 0 2',
    'overlay /merged overlay lowerdir=/a,upperdir=/b,workdir=/c 0 0',
  ].map((line) => `${line}\n`);
  const text = `UUID=aaaa-root / ext4 defaults 0 1\n${kept.join('')}`;
  expect(rewriteFstab(text, disks())).toEqual({ text, notes: [] });
});

test('what the target has not is off and told of, so that no boot waits for it', () => {
  const { text, notes } = rewriteFstab(
    'UUID=aaaa-root / ext4 defaults 0 1\n/dev/sdb1 /data\\040files xfs defaults 0 2\nUUID=swap none swap sw 0 0\n',
    disks(),
  );
  expect(text).toBe(
    'UUID=aaaa-root / ext4 defaults 0 1\n' +
      '# godwit relocate: not on this machine: /dev/sdb1 /data\\040files xfs defaults 0 2\n' +
      '# godwit relocate: not on this machine: UUID=swap none swap sw 0 0\n',
  );
  expect(notes).toEqual([
    '/data files: /dev/sdb1 is off, nothing of the target is mounted there',
    'swap UUID=swap: off, the target has no such area',
  ]);
});

test('swap areas are taken in order; a second one that is already right keeps its own', () => {
  const { text } = rewriteFstab(
    'UUID=aaaa-root / ext4 defaults 0 1\n/dev/sda2 none swap sw 0 0\nUUID=two none swap sw 0 0\n',
    disks({ swaps: ['one', 'two'] }),
  );
  expect(text).toContain('UUID=one none swap sw 0 0\nUUID=two none swap sw 0 0\n');
});

test('another kind of file system loses the options that only the old one knew', () => {
  const xfs = disks({ filesystems: [{ ...ROOT, type: 'xfs' }] });
  expect(rewriteFstab('/dev/sda1 / ext4 noatime,errors=remount-ro,data=ordered 0 1\n', xfs).text).toBe(
    'UUID=aaaa-root / xfs noatime 0 1\n',
  );
  expect(rewriteFstab('/dev/sda1 / ext4 errors=remount-ro 0 1\n', xfs).text).toBe(
    'UUID=aaaa-root / xfs defaults 0 1\n',
  );
});

test('btrfs: the subvolume is the one that is mounted', () => {
  const btrfs = (subvolume: string) => disks({ filesystems: [{ ...ROOT, type: 'btrfs', subvolume }] });
  const line = '/dev/sda1 / btrfs defaults,subvol=@,compress=zstd 0 0\n';
  expect(rewriteFstab(line, btrfs('@')).text).toBe('UUID=aaaa-root / btrfs defaults,subvol=@,compress=zstd 0 0\n');
  expect(rewriteFstab(line, btrfs('')).text).toBe('UUID=aaaa-root / btrfs defaults,compress=zstd 0 0\n');
  expect(rewriteFstab(line, btrfs('new')).text).toBe('UUID=aaaa-root / btrfs defaults,compress=zstd,subvol=new 0 0\n');
});

test('what only the target has is added: an EFI system partition, a root that had no line', () => {
  const esp = { mountPoint: '/boot/efi', uuid: 'AB-CD', type: 'vfat' };
  const { text } = rewriteFstab('# none', disks({ filesystems: [ROOT, esp] }));
  expect(text).toBe('# none\nUUID=aaaa-root / ext4 defaults 0 1\nUUID=AB-CD /boot/efi vfat umask=0077 0 2\n');
  expect(rewriteFstab(text, disks({ filesystems: [ROOT, esp] }))).toEqual({ text, notes: [] });
});

test('two lines for one mount point: the second would be mounted over the first', () => {
  const { text } = rewriteFstab('/dev/a / ext4 ro 0 1\n/dev/b / ext4 ro 0 1\n', disks());
  expect(text).toBe('UUID=aaaa-root / ext4 ro 0 1\n# godwit relocate: not on this machine: /dev/b / ext4 ro 0 1\n');
});
