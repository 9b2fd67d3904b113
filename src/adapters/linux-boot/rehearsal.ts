/**
 * What a clone of a moved system is started with: its own kernel, and an
 * initramfs that its own tools make for a virtual machine. That lays files over
 * those of the clone before anything of it runs; the moved system keeps its own.
 */
import { chmodSync, chownSync, lstatSync, mkdirSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { GodwitError } from '../../kernel/errors.ts';
import { isThere, namesIn, placeOfContent, readText } from './inside-root.ts';
import { kernelsOf, lackingModules } from './kernels.ts';
import { type StaticAddress, staticAddresses } from './text/addresses.ts';
import { firstEntry } from './text/menu.ts';
import { runInView } from './view.ts';

/** What QEMU has. */
export const VIRTUAL_DRIVERS = ['virtio_pci', 'virtio_blk'];

/** A file of the clone: a text, a link, or not there at all. */
export type Laid = { readonly path: string } & (
  | { readonly text: string }
  | { readonly link: string }
  | { readonly isRemoved: true }
);

const HOOK = `#!/bin/sh
[ "$1" = prereqs ] && exit 0
. /usr/share/initramfs-tools/hook-functions
copy_exec /bin/cp /bin/godwit-cp
copy_exec /bin/rm /bin/godwit-rm
mkdir -p "$DESTDIR/godwit"
cp -a /tmp/laid/. "$DESTDIR/godwit/"
cp /tmp/put "$DESTDIR/godwit-put"
cp /tmp/removed "$DESTDIR/godwit-removed"
`;

/** File by file: folders keep their rights. */
const LAY = `#!/bin/sh
[ "$1" = prereqs ] && exit 0
while read -r path; do /bin/godwit-rm -f "$rootmnt/$path"; done < /godwit-removed
while read -r path; do
  mkdir -p "$rootmnt/\${path%/*}"
  /bin/godwit-cp -dp --remove-destination "/godwit/$path" "$rootmnt/$path"
done < /godwit-put
`;

const MAKE = `
set -e
for file in etc/fstab etc/crypttab; do
  if [ -e /tmp/laid/$file ] && [ -e /$file ]; then mount --bind /tmp/laid/$file /$file; fi
done
cp -a /etc/initramfs-tools /tmp/conf
rm -f /tmp/conf/conf.d/resume /tmp/conf/conf.d/*godwit*
cp -a /tmp/own/. /tmp/conf/
cat /tmp/modules >> /tmp/conf/modules
mkinitramfs -d /tmp/conf -o /tmp/initrd "$1" >&2
lsinitramfs /tmp/initrd
`;

export interface RehearsalStart {
  readonly kernel: string;
  readonly initrd: string;
  readonly version: string;
}

export interface StartOptions {
  readonly root: string;
  /** Mount points below the root, without it. */
  readonly mounts: readonly string[];
  /** A folder of ours, on another file system. */
  readonly work: string;
  readonly laid: readonly Laid[];
}

/** @throws GodwitError GW2411, GW5411 */
export async function makeStart(
  { root, mounts, work, laid }: StartOptions,
  signal: AbortSignal,
): Promise<RehearsalStart> {
  const version = [...kernelsOf(root)].sort(new Intl.Collator('en', { numeric: true }).compare).at(-1);
  if (version === undefined || !isThere(root, 'usr/sbin/mkinitramfs'))
    throw new GodwitError('GW2411', `${root} has no kernel with its modules, or no mkinitramfs`);
  rmSync(work, { recursive: true, force: true });
  const put = (path: string, text: string, mode = 0o644) => {
    mkdirSync(dirname(join(work, path)), { recursive: true });
    writeFileSync(join(work, path), text, { mode });
    chmodSync(join(work, path), mode);
  };
  put('own/conf.d/zz-godwit', 'MODULES=most\nRESUME=none\nCOMPRESSLEVEL=1\n');
  put('own/hooks/godwit', HOOK, 0o755);
  put('own/scripts/init-bottom/godwit', LAY, 0o755);
  put('modules', `\n${VIRTUAL_DRIVERS.join('\n')}\n`);
  put('removed', laid.flatMap((one) => ('isRemoved' in one ? [`${one.path}\n`] : [])).join(''));
  put('put', laid.flatMap((one) => ('isRemoved' in one ? [] : [`${one.path}\n`])).join(''));
  mkdirSync(join(work, 'laid'), { recursive: true });
  for (const one of laid) {
    const path = join('laid', one.path);
    if ('text' in one) {
      // Some are not read at all when others than their owner may read them.
      const before = lstatSync(placeOfContent(root, one.path), { throwIfNoEntry: false });
      put(path, one.text, (before?.mode ?? 0o644) & 0o7777);
      if (before) chownSync(join(work, path), before.uid, before.gid);
    }
    if (!('link' in one)) continue;
    mkdirSync(dirname(join(work, path)), { recursive: true });
    symlinkSync(one.link, join(work, path));
  }
  const { code, stdout, stderr } = await runInView({ root, mounts, work }, ['sh', '-c', MAKE, 'sh', version], signal);
  if (code !== 0)
    throw new GodwitError('GW5411', `mkinitramfs for ${version}: ${stderr.trim().split('\n').slice(-6).join('\n')}`);
  const builtin = readText(root, `lib/modules/${version}/modules.builtin`) ?? '';
  const wanted = VIRTUAL_DRIVERS.filter((name) => !builtin.includes(`/${name}.ko`));
  const lacking = lackingModules(stdout, wanted);
  if (lacking.length > 0) throw new GodwitError('GW2413', `Kernel ${version} has no ${lacking.join(', ')}`);
  return { kernel: join(root, `boot/vmlinuz-${version}`), initrd: join(work, 'initrd'), version };
}

/** Words that the moved system's own menu gives its kernel, but for disks and consoles. */
export function kernelWords(root: string): readonly string[] {
  const menu = readText(root, 'boot/grub/grub.cfg') ?? '';
  const isOwn = /^(?:(?:root|rootflags|resume|console|cryptdevice)=|(?:ro|rw|quiet|splash)$)/;
  return (firstEntry(menu)?.words ?? []).filter((word) => !isOwn.test(word));
}

/** Addresses of version 4 that the moved system gives itself. */
export function configuredAddresses(root: string): readonly StaticAddress[] {
  const found = new Map<string, StaticAddress>();
  const look = (path: string, isNetplan = false) => {
    for (const one of staticAddresses(readText(root, path) ?? '', isNetplan)) found.set(one.ip, one);
  };
  look('etc/network/interfaces');
  for (const name of namesIn(root, 'etc/network/interfaces.d')) look(`etc/network/interfaces.d/${name}`);
  for (const name of namesIn(root, 'etc/systemd/network'))
    if (name.endsWith('.network')) look(`etc/systemd/network/${name}`);
  for (const name of namesIn(root, 'etc/NetworkManager/system-connections'))
    look(`etc/NetworkManager/system-connections/${name}`);
  for (const name of namesIn(root, 'etc/netplan')) if (/\.ya?ml$/.test(name)) look(`etc/netplan/${name}`, true);
  return [...found.values()];
}
