/**
 * Runs the moved system's own programs inside of it. Mounts are made in a mount
 * namespace of the process and go with it, however it ends; it has a process
 * namespace of its own, too, so that nothing it starts is left behind.
 */
import { type Ran, run } from './run.ts';

/**
 * A /dev of its own: every disk of this machine under its name, and the links by
 * UUID that GRUB asks for, which only udev would make. Services must not be started.
 */
const SCRIPT = `
set -e
root=$1; links=$2; shift 2
mount -t tmpfs -o mode=755 godwit "$root/dev"
for node in null zero full random urandom tty; do cp -a /dev/$node "$root/dev/$node"; done
ln -s /proc/self/fd "$root/dev/fd"
for at in /sys/class/block/*; do
  name=$(basename "$at" | tr '!' '/')
  [ -b "/dev/$name" ] || continue
  mkdir -p "$(dirname "$root/dev/$name")"
  cp -aL "/dev/$name" "$root/dev/$name"
done
if [ -d /dev/mapper ]; then mkdir -p "$root/dev/mapper"; cp -a /dev/mapper/. "$root/dev/mapper/"; fi
mkdir -p "$root/dev/disk/by-uuid" "$root/dev/pts" "$root/dev/shm"
for pair in $links; do ln -s "\${pair#*=}" "$root/dev/disk/by-uuid/\${pair%%=*}"; done
mount -t proc proc "$root/proc"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 godwit "$root/run"
mount -t tmpfs -o mode=1777 godwit "$root/tmp"
exec chroot "$root" "$@"
`;

export interface Inside {
  /** The root of the moved system, mounted with all that belongs to it. */
  readonly root: string;
  /** UUIDs and devices of its file systems. */
  readonly devices: ReadonlyMap<string, string>;
}

export function runInside(
  { root, devices }: Inside,
  command: readonly string[],
  env: Readonly<Record<string, string>> = {},
  signal?: AbortSignal,
): Promise<Ran> {
  const links = [...devices].map(([uuid, device]) => `${uuid}=${device}`).join(' ');
  const own = ['--mount', '--pid', '--fork', '--kill-child', '--propagation', 'private'];
  return run('unshare', [...own, 'sh', '-c', SCRIPT, 'sh', root, links, ...command], env, signal);
}
