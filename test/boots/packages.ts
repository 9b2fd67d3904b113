/** Programs that the boots need; what is missing is installed. */
import { access } from 'node:fs/promises';
import { installPackages } from '../servers/debian-packages.ts';

const FILES: readonly (readonly [file: string, pkg: string])[] = [
  ['/usr/bin/mmdebstrap', 'mmdebstrap'],
  ['/usr/bin/qemu-system-x86_64', 'qemu-system-x86'],
  ['/usr/share/seabios/bios-256k.bin', 'seabios'],
  ['/usr/share/OVMF/OVMF_CODE_4M.fd', 'ovmf'],
  ['/usr/sbin/mkfs.ext4', 'e2fsprogs'],
  ['/usr/sbin/mkfs.vfat', 'dosfstools'],
  ['/usr/bin/ssh', 'openssh-client'],
  ['/usr/bin/openssl', 'openssl'],
];

export async function installTools(): Promise<void> {
  const missing: string[] = [];
  for (const [file, pkg] of FILES) {
    const isThere = await access(file).then(
      () => true,
      () => false,
    );
    if (!isThere) missing.push(pkg);
  }
  if (missing.length === 0) return;
  const { code, stderr } = await installPackages(missing);
  if (code !== 0) throw new Error(`${missing.join(' ')} could not be installed: ${stderr.trim()}`);
}
