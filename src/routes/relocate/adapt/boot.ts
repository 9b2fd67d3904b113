/** What the moved system's own programs make: initramfs, boot loader, its menu. Each result is looked at. */
import { createHash } from 'node:crypto';
import {
  type AdaptationRecord,
  type Hardware,
  lackingModules,
  type MountedDisks,
  type Ran,
  readBytes,
} from '../../../adapters/linux-boot/index.ts';
import { GodwitError } from '../../../kernel/errors.ts';
import type { AdaptResult } from './api.ts';

export interface Step {
  /** As one would type it in the moved system. */
  readonly name: string;
  /** Of what it makes, a hash: another one means that it has to be made again. */
  readonly result: () => string;
  readonly run: () => Promise<void>;
}

export interface Bootable {
  readonly root: string;
  readonly hardware: Hardware;
  readonly disks: MountedDisks;
  readonly kernels: AdaptResult['kernels'];
  readonly record: AdaptationRecord;
  readonly inside: (command: readonly string[]) => Promise<Ran>;
}

export function makeBootable({ root, hardware, disks, kernels, record, inside }: Bootable): readonly Step[] {
  const steps: Step[] = [];
  const hashOf = (path: string) => {
    const bytes = readBytes(root, path);
    return bytes === undefined ? 'none' : createHash('sha256').update(bytes).digest('hex');
  };
  const must = async (command: readonly string[]): Promise<string> => {
    const { code, stdout, stderr } = await inside(command);
    if (code !== 0)
      throw new GodwitError('GW5411', `${command.join(' ')} ended with ${code}: ${lastWords(`${stdout}\n${stderr}`)}`);
    return stdout;
  };
  for (const { version, modules } of kernels) {
    const image = `boot/initrd.img-${version}`;
    const command = ['update-initramfs', readBytes(root, image) === undefined ? '-c' : '-u', '-k', version];
    steps.push({
      name: command.join(' '),
      result: () => hashOf(image),
      run: async () => {
        record.keep(image, 'drivers of the target');
        await must(command);
        const lacking = lackingModules(await must(['lsinitramfs', `/${image}`]), modules);
        if (lacking.length > 0)
          throw new GodwitError('GW5411', `The initramfs of ${version} lacks ${lacking.join(', ')}`);
      },
    });
  }
  const install =
    hardware.firmware === 'bios'
      ? ['grub-install', '--target=i386-pc', disks.bootDisk ?? '']
      : // The path that every firmware looks at, beside the distribution's own; nothing is written to this machine's NVRAM.
        ['grub-install', '--target=x86_64-efi', '--efi-directory=/boot/efi', '--no-nvram', '--force-extra-removable'];
  const loader = hardware.firmware === 'bios' ? 'boot/grub/i386-pc/core.img' : 'boot/efi/EFI/BOOT/BOOTX64.EFI';
  steps.push({
    name: install.join(' '),
    result: () => hashOf(loader),
    run: async () => {
      record.keep(loader, 'boot loader of the target');
      await must(install);
      if (readBytes(root, loader) === undefined) throw new GodwitError('GW5411', `grub-install made no /${loader}`);
    },
  });
  const menu = 'boot/grub/grub.cfg';
  steps.push({
    name: 'update-grub',
    result: () => hashOf(menu),
    run: async () => {
      record.keep(menu, 'disks of the target');
      await must(['update-grub']);
      const uuid = disks.filesystems.find(({ mountPoint }) => mountPoint === '/')?.uuid ?? '';
      const text = readBytes(root, menu)?.toString('utf8') ?? '';
      const roots = [...text.matchAll(/^\s*linux\S*\s.*?\sroot=(\S+)/gm)].map((match) => match[1] ?? '');
      const wrong = roots.find((one) => one !== `UUID=${uuid}` && !one.startsWith('/dev/mapper/'));
      if (roots.length === 0 || wrong !== undefined)
        throw new GodwitError(
          'GW5411',
          `The menu of GRUB starts with root=${wrong ?? 'nothing'} and not with root=UUID=${uuid}`,
        );
    },
  });
  return steps;
}

function lastWords(output: string): string {
  return output.trim().split('\n').slice(-6).join('\n');
}
