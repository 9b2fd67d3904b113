/** The files of a moved system that know its machine, as they are to be. Nothing is written here. */
import {
  type Hardware,
  HYPERVISOR_TOOLS,
  isMasked,
  isThere,
  linesOf,
  type MountedDisks,
  namesIn,
  networkChanges,
  type Rewritten,
  readText,
  rewriteCrypttab,
  rewriteFstab,
  rewriteGrubDefaults,
  rewriteResume,
  turnedOff,
  UNIT_FOLDERS,
  withModules,
} from '../../../adapters/linux-boot/index.ts';

/** What a file is to be: a text, a link, or not there at all. */
export type FileChange = { readonly path: string; readonly notes: readonly string[]; readonly why: string } & (
  | { readonly text: string }
  | { readonly link: string }
  | { readonly isRemoved: true }
);

/** After every other file there, so that nothing of the moved system is read later. */
const INITRAMFS_OWN = 'etc/initramfs-tools/conf.d/zz-godwit-relocate';
const INITRAMFS_TEXT = `# Made by godwit relocate. An initramfs of MODULES=dep knows one machine only, the one it was made on.
MODULES=most
`;

export interface Wanted {
  readonly root: string;
  readonly hardware: Hardware;
  readonly disks: MountedDisks;
  /** For the initramfs. */
  readonly modules: readonly string[];
  /** By name or old address of a card, the address of the target's. */
  readonly nics: ReadonlyMap<string, string>;
}

export function fileChanges({ root, hardware, disks, modules, nics }: Wanted): readonly FileChange[] {
  const changes: FileChange[] = [];
  const swap = disks.swaps[0];
  const rewrite = (path: string, why: string, change: (text: string) => Rewritten, isMade = false) => {
    const before = readText(root, path);
    if (before === undefined && !isMade) return;
    const { text, notes } = change(before ?? '');
    if (text !== (before ?? '') || (before === undefined && text !== '')) changes.push({ path, text, notes, why });
  };
  rewrite('etc/fstab', 'file systems of the target', (text) => rewriteFstab(text, disks), true);
  rewrite(
    'etc/crypttab',
    'containers of the target',
    (text) => rewriteCrypttab(text, disks.crypts),
    disks.crypts.length > 0,
  );
  for (const name of namesIn(root, 'etc/initramfs-tools/conf.d'))
    rewrite(`etc/initramfs-tools/conf.d/${name}`, 'swap of the target', (text) => rewriteResume(text, swap));
  for (const path of [
    'etc/default/grub',
    ...namesIn(root, 'etc/default/grub.d').map((name) => `etc/default/grub.d/${name}`),
  ])
    rewrite(path, 'disks of the target', (text) => rewriteGrubDefaults(text, swap));
  if (readText(root, INITRAMFS_OWN) !== INITRAMFS_TEXT)
    changes.push({ path: INITRAMFS_OWN, text: INITRAMFS_TEXT, notes: ['MODULES=most'], why: 'drivers of the target' });
  rewrite('etc/initramfs-tools/modules', 'drivers of the target', (text) => withModules(text, modules), true);
  for (const change of networkChanges(root, nics)) changes.push({ ...change, why: 'network cards of the target' });
  rewrite('etc/udev/rules.d/70-persistent-net.rules', 'names of the old network cards', oldNames);
  if (isThere(root, 'boot/grub/device.map'))
    changes.push({
      path: 'boot/grub/device.map',
      isRemoved: true,
      notes: ['removed: it names old disks'],
      why: 'disks of the target',
    });
  if (isThere(root, 'usr/bin/cloud-init') && !isThere(root, 'etc/cloud/cloud-init.disabled'))
    changes.push({
      path: 'etc/cloud/cloud-init.disabled',
      text: '',
      notes: ['cloud-init off: on a new machine it would make new host keys and network settings'],
      why: 'the system stays the one it is',
    });
  for (const { unit, home, what } of HYPERVISOR_TOOLS) {
    if (home.includes(hardware.hypervisor)) continue;
    const isInstalled =
      UNIT_FOLDERS.some((folder) => isThere(root, `${folder}/${unit}`)) ||
      isThere(root, `etc/init.d/${unit.replace(/\.service$/, '')}`);
    if (!isInstalled || isMasked(root, unit)) continue;
    changes.push({
      path: `etc/systemd/system/${unit}`,
      link: '/dev/null',
      notes: [`off: tools of ${what}`],
      why: 'hypervisor of the target',
    });
  }
  return changes;
}

function oldNames(text: string): Rewritten {
  let isChanged = false;
  const result = linesOf(text)
    .map((line) => {
      if (!/^\s*[^#\s].*\bNAME\s*=/.test(line)) return line;
      isChanged = true;
      return turnedOff(line);
    })
    .join('');
  return { text: result, notes: isChanged ? ['rules for the old cards are off'] : [] };
}
