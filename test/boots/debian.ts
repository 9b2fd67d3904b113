/** The Debian that all machines here are made of, fetched once, and the place where what was made is kept. */
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, renameSync, rmSync, statSync, utimesSync } from 'node:fs';
import { homedir } from 'node:os';
import { join } from 'node:path';
import { must } from '../files/file-system.ts';

const MIRROR = process.env['GODWIT_DEBIAN_MIRROR'] ?? 'http://deb.debian.org/debian';

/** Kernels of Debian: for any machine, and the one for clouds, which lacks the drivers of most. */
type Kernel = 'linux-image-amd64' | 'linux-image-cloud-amd64';

const PACKAGES = [
  'systemd-sysv,udev,kmod,iproute2,ifupdown,busybox,openssh-server,libstdc++6,lvm2,mdadm',
  'initramfs-tools,zstd,grub-pc,grub-efi-amd64-bin,nbd-client',
].join(',');

const drivers = (...kinds: string[]) => kinds.map((kind) => `/lib/modules/*/kernel/drivers/${kind}/*`);

/** What no controller or card here needs: everything is built, moved, proven and booted the faster. */
const LEFT_OUT = [
  '/usr/share/doc/*',
  '/usr/share/man/*',
  '/usr/share/locale/*',
  '/usr/share/i18n/*',
  '/usr/lib/x86_64-linux-gnu/gconv/*',
  '/usr/lib/udev/hwdb.d/*',
  '/lib/udev/hwdb.d/*',
  '/usr/share/zoneinfo/*',
  '/usr/share/perl/*/Unicode/*',
  '/usr/lib/x86_64-linux-gnu/perl/*/CORE/*',
  ...['CN', 'JP', 'KR', 'TW'].map((name) => `/usr/lib/x86_64-linux-gnu/perl/*/auto/Encode/${name}/*`),
  '/usr/lib/grub/x86_64-efi/monolithic/*',
  '/lib/modules/*/kernel/sound/*',
  '/lib/modules/*/kernel/arch/x86/kvm/*',
  '/lib/modules/*/kernel/lib/test_*',
  ...drivers('gpu', 'media', 'net/wireless', 'net/usb', 'net/can', 'infiniband', 'staging', 'isdn', 'iio', 'comedi'),
  ...drivers('hwmon', 'usb', 'bluetooth', 'video', 'platform', 'mmc', 'target', 'net/ethernet', 'firewire', 'crypto'),
  ...drivers('scsi/lpfc', 'scsi/qla2xxx', 'scsi/qla4xxx', 'scsi/bfa', 'scsi/aic7xxx', 'scsi/aic94xx', 'scsi/be2iscsi'),
  ...drivers(
    'scsi/csiostor',
    'scsi/fnic',
    'scsi/qedf',
    'scsi/qedi',
    'scsi/bnx2i',
    'scsi/bnx2fc',
    'scsi/elx',
    'input',
    'hid',
    'mtd',
  ),
  ...['ocfs2', 'nfs', 'nfsd', 'smb', 'ceph', 'gfs2', 'f2fs', 'xfs', 'btrfs', 'jfs', 'reiserfs', 'ubifs', 'nilfs2'].map(
    (kind) => `/lib/modules/*/kernel/fs/${kind}/*`,
  ),
  ...['bluetooth', 'wireless', 'mac80211', 'sunrpc', 'ceph', 'bridge', 'sched', 'sctp', 'tipc', 'netfilter'].map(
    (kind) => `/lib/modules/*/kernel/net/${kind}/*`,
  ),
];
const KEPT = drivers('net/ethernet/intel/e1000', 'net/ethernet/intel/e1000e', 'net/ethernet/realtek');

const words = (kernel: Kernel) => [
  '--quiet',
  '--mode=root',
  '--variant=minbase',
  `--include=${PACKAGES},${kernel}`,
  ...LEFT_OUT.map((path) => `--dpkgopt=path-exclude=${path}`),
  ...KEPT.map((path) => `--dpkgopt=path-include=${path}`),
  '--aptopt=APT::Install-Recommends "false"',
  'bookworm',
];

export function cacheDir(): string {
  const dir = join(process.env['XDG_CACHE_HOME'] ?? join(homedir(), '.cache'), 'godwit', 'boots');
  mkdirSync(dir, { recursive: true });
  return dir;
}

export function keyOf(...parts: readonly string[]): string {
  return createHash('sha256').update(JSON.stringify(parts)).digest('hex').slice(0, 16);
}

/** The unpacked Debian, as an archive. */
export async function debianTar(kernel: Kernel = 'linux-image-amd64'): Promise<string> {
  const name = `debian-${keyOf(...words(kernel), MIRROR)}.tar`;
  const file = join(cacheDir(), name);
  if (existsSync(file)) {
    keepInCache(name);
    return file;
  }
  const part = `${file}.${process.pid}.tar`;
  try {
    await must('mmdebstrap', [...words(kernel), part, MIRROR]);
    renameSync(part, file);
  } finally {
    rmSync(part, { force: true });
  }
  return file;
}

const DAY_MS = 24 * 3600_000;

/** What is used today is kept; of the same name, what other texts made and nobody used since yesterday is forgotten. */
export function keepInCache(entry: string): void {
  const now = new Date();
  utimesSync(join(cacheDir(), entry), now, now);
  const kind = entry.slice(0, entry.lastIndexOf('-') + 1);
  for (const other of readdirSync(cacheDir())) {
    const path = join(cacheDir(), other);
    if (!other.startsWith(kind) || now.getTime() - (statSync(path, { throwIfNoEntry: false })?.mtimeMs ?? 0) < DAY_MS)
      continue;
    rmSync(path, { recursive: true, force: true });
  }
}
