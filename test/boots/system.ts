/** Disks with a Debian that boots: its texts, GRUB, and an initramfs made for one disk controller only. */
import { mkdirSync, readFileSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../files/file-system.ts';
import type { Controller } from './controllers.ts';
import { debianTar } from './debian.ts';
import { makeDisk, mountDisk } from './disk.ts';

export const DISK_MEGABYTES = 1000;

export interface SystemTexts {
  /** By path from the root. */
  readonly files: Readonly<Record<string, string>>;
  /** Units that are started. */
  readonly units: readonly string[];
}

/** What a machine that is emulated on a busy one needs: patience, and no work that nobody asked for. */
const QUIET = {
  'etc/systemd/journald.conf.d/volatile.conf': '[Journal]\nStorage=volatile\n',
  'etc/systemd/system.conf.d/patient.conf':
    '[Manager]\nDefaultTimeoutStartSec=1h\nDefaultTimeoutStopSec=1h\nDefaultDeviceTimeoutSec=1h\n',
  'etc/systemd/system/ifupdown-pre.service.d/patient.conf':
    '[Service]\nTimeoutSec=1h\nExecStart=\nExecStart=/bin/udevadm settle --timeout=3600\n',
  'etc/initramfs-tools/conf.d/driver-policy': 'MODULES=dep\n',
  'etc/initramfs-tools/conf.d/compress': 'COMPRESS=zstd\nCOMPRESSLEVEL=1\n',
};
const OFF = [
  'e2scrub_reap.service',
  'apt-daily.timer',
  'apt-daily-upgrade.timer',
  'e2scrub_all.timer',
  'fstrim.timer',
  'dpkg-db-backup.timer',
];
/** The timer may look broken to a kernel that is emulated by a busy machine, which then panics: what is known to work is not tried. */
export const KERNEL_WORDS =
  'console=ttyS0 mitigations=off no_timer_check nowatchdog rcupdate.rcu_cpu_stall_suppress=1 udev.event_timeout=3600';

/** Everything but GRUB and the initramfs. */
export async function makeSystem(image: string, texts: SystemTexts): Promise<void> {
  const tar = await debianTar();
  await makeDisk(image, DISK_MEGABYTES, 'mbr');
  await using disk = await mountDisk(image);
  const root = disk.dir;
  await must('tar', ['-C', root, '-xpf', tar, '--numeric-owner', '--xattrs', '--acls']);
  const uuid = await uuidOf(disk.partition);
  const grub = readFileSync(join(root, 'etc/default/grub'), 'utf8')
    .replace(/^GRUB_TIMEOUT=.*/m, 'GRUB_TIMEOUT=0')
    .replace(/^GRUB_CMDLINE_LINUX_DEFAULT=.*/m, `GRUB_CMDLINE_LINUX_DEFAULT="${KERNEL_WORDS}"`);
  const files = {
    ...QUIET,
    'etc/default/grub': grub,
    'etc/fstab': `# what the installer wrote\nUUID=${uuid} /  ext4\terrors=remount-ro 0 1\n/dev/sr0 /media/cdrom0 udf,iso9660 user,noauto 0 0\n`,
    ...texts.files,
  };
  for (const [path, text] of Object.entries(files)) {
    mkdirSync(join(root, path, '..'), { recursive: true });
    writeFileSync(join(root, path), text, text.startsWith('#!') ? { mode: 0o755 } : {});
  }
  for (const unit of texts.units)
    symlinkSync(`/etc/systemd/system/${unit}`, join(root, 'etc/systemd/system/multi-user.target.wants', unit));
  for (const unit of OFF) symlinkSync('/dev/null', join(root, 'etc/systemd/system', unit));
}

/** GRUB, and Debian's own MODULES=dep for this controller. */
export async function makeItBoot(image: string, controller: Controller): Promise<void> {
  await using disk = await mountDisk(image);
  const words = [disk.dir, disk.partition, disk.loop, await uuidOf(disk.partition)];
  const sys = [
    controller.sys.map(([name]) => name).join('/'),
    controller.sys.map(([name, alias]) => `${name}=${alias}`).join(' '),
    controller.buses.join(' '),
  ];
  await must('unshare', ['--mount', '--propagation', 'private', 'sh', '-c', IN_ROOT, 'sh', ...words, ...sys]);
}

async function uuidOf(partition: string): Promise<string> {
  return (await must('blkid', ['-p', '-s', 'UUID', '-o', 'value', partition])).trim();
}

/**
 * GRUB with the disks as they are; then Debian's own MODULES=dep with a /sys that
 * shows the controller of the source, as it would see it there.
 */
const IN_ROOT = `
set -e
root=$1 partition=$2 loop=$3 uuid=$4 path=$5 steps=$6 buses=$7
mount -t proc proc "$root/proc"
mount -t tmpfs run "$root/run"
mount -t tmpfs dev "$root/dev"
for node in null zero random urandom tty; do cp -a /dev/$node "$root/dev/"; done
ln -s /proc/self/fd "$root/dev/fd"
cp -a "$loop" "$partition" "$root/dev/"
mkdir -p "$root/dev/disk/by-uuid"
ln -s "$partition" "$root/dev/disk/by-uuid/$uuid"
mount -t sysfs sysfs "$root/sys"
chroot "$root" grub-install --target=i386-pc "$loop" >&2
chroot "$root" update-grub >&2
umount "$root/sys"
mount -t tmpfs sys "$root/sys"
at="$root/sys/devices/pci0000:00"
mkdir -p "$at" "$root/sys/dev/block" "$root/sys/class"
for step in $steps; do
  at="$at/\${step%%=*}"
  mkdir -p "$at"
  echo "\${step#*=}" > "$at/modalias"
done
for bus in $buses; do mkdir -p "$root/sys/bus/$bus/devices"; done
mkdir -p "$at/block/disk/part/slaves" "$at/block/disk/slaves"
echo DEVTYPE=partition > "$at/block/disk/part/uevent"
ln -s "../../devices/pci0000:00/$path/block/disk/part" "$root/sys/dev/block/$(stat -c %Hr:%Lr "$partition")"
chroot "$root" update-initramfs -u >&2
`;
