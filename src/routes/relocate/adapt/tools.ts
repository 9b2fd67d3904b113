/** What the moved system must have itself, so that it can be adapted to what is below its file systems. */
import { type Hardware, isThere, kernelsOf, type MountedDisks } from '../../../adapters/linux-boot/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';

type Disks = Pick<MountedDisks, 'layers' | 'bootDisk'> & {
  readonly filesystems: readonly Pick<MountedDisks['filesystems'][number], 'type' | 'mountPoint'>[];
};

/** Everything that would stop a later step, before the first one. */
export function requireTools(root: string, { firmware }: Pick<Hardware, 'firmware'>, disks: Disks, name: string): void {
  const needs: (readonly [path: string, what: string])[] = [
    ['usr/sbin/update-initramfs', 'initramfs-tools'],
    ['usr/sbin/grub-install', 'grub2-common'],
    ['usr/sbin/update-grub', 'grub2-common'],
    firmware === 'bios' ? ['usr/lib/grub/i386-pc', 'grub-pc-bin'] : ['usr/lib/grub/x86_64-efi', 'grub-efi-amd64-bin'],
  ];
  if (disks.layers.has('lvm')) needs.push(['usr/share/initramfs-tools/hooks/lvm2', 'lvm2']);
  if (disks.layers.has('crypt')) needs.push(['usr/share/initramfs-tools/hooks/cryptroot', 'cryptsetup-initramfs']);
  if (disks.layers.has('raid')) needs.push(['usr/share/initramfs-tools/hooks/mdadm', 'mdadm']);
  for (const { type } of disks.filesystems) {
    if (type === 'xfs') needs.push(['usr/sbin/xfs_repair', 'xfsprogs']);
    if (type === 'btrfs') needs.push(['usr/bin/btrfs', 'btrfs-progs']);
  }
  const missing = [...new Set(needs.flatMap(([path, what]) => (isInstalled(root, path) ? [] : [what])))];
  if (missing.length > 0)
    throw new GodwitError('GW2411', `${name} in ${root} lacks ${missing.join(', ')}, which the target needs`);
  if (kernelsOf(root).length === 0)
    throw new GodwitError('GW2411', `${name} in ${root} has no kernel with its modules`);
  if (firmware === 'bios' && disks.bootDisk === undefined)
    throw new GodwitError(
      'GW2412',
      'The file system with /boot is not on a partition, so there is no disk to write the boot loader to',
    );
  const esp = disks.filesystems.find(({ mountPoint }) => mountPoint === '/boot/efi');
  if (firmware === 'uefi' && esp?.type !== 'vfat')
    throw new GodwitError('GW2412', `For UEFI the EFI system partition (vfat) must be mounted on ${root}/boot/efi`);
}

/** Older systems have /sbin beside /usr/sbin. */
function isInstalled(root: string, path: string): boolean {
  return isThere(root, path) || isThere(root, path.replace(/^usr\//, ''));
}
