/** A system whose kernel is for clouds, on its way to a machine that this kernel has no driver for. */
import { rmSync } from 'node:fs';
import { join } from 'node:path';
import { GodwitError } from '../../src/kernel/errors.ts';
import { must } from '../files/file-system.ts';
import { certify } from '../files/move.ts';
import { adaptMounted } from './adapt-here.ts';
import { targetOf } from './controllers.ts';
import { debianTar } from './debian.ts';
import { makeDisk, mountDisk } from './disk.ts';
import { DISK_MEGABYTES } from './system.ts';

/** What is not as it must be: refused by name, and nothing changed; adapted where the kernel has the drivers. */
export async function cloudKernel(dir: string): Promise<readonly string[]> {
  const image = join(dir, 'cloud.img');
  const wrong: string[] = [];
  try {
    await makeDisk(image, DISK_MEGABYTES, 'gpt');
    await using disk = await mountDisk(image);
    const tar = await debianTar('linux-image-cloud-amd64');
    await must('tar', ['-C', disk.dir, '-xpf', tar, '--numeric-owner', '--xattrs', '--acls']);
    const before = await certify(disk.dir);
    const refusal = await adaptMounted(disk.dir, targetOf('megasas')).catch((error: unknown) => error);
    const isRefused = refusal instanceof GodwitError && refusal.code === 'GW2413';
    if (!isRefused || !refusal.message.includes('megaraid_sas'))
      wrong.push(`a kernel without the driver is answered with ${String(refusal)}`);
    if ((await certify(disk.dir)) !== before) wrong.push('refused, but the system was changed');
    const { kernels } = await adaptMounted(disk.dir, targetOf('virtio-scsi'));
    if (!kernels.some(({ version }) => version.includes('cloud'))) wrong.push('the kernel is none for clouds');
  } finally {
    rmSync(image, { force: true });
  }
  return wrong;
}
