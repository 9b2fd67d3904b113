/**
 * The small system that a target machine runs before it becomes the moved one: on a
 * disk of its own, with another name, address and host key. Nothing of it stays.
 */
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../files/file-system.ts';
import { controller } from './controllers.ts';
import { mountDisk } from './disk.ts';
import { type Login, madeOnce } from './source.ts';
import { KERNEL_WORDS, makeItBoot, makeSystem } from './system.ts';

export const OWN_ADDRESS = '10.9.8.20';

export interface OwnSystem {
  readonly image: string;
  readonly kernel: string;
  readonly initramfs: string;
  readonly words: string;
  readonly login: Login;
}

export async function ownSystem(): Promise<OwnSystem> {
  const dir = await madeOnce('own-system', async (work) => {
    const keys = ['key', 'host-key'].map((name) => join(work, name));
    for (const key of keys) await must('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'boots', '-f', key]);
    const text = (name: string) => readFileSync(join(work, name), 'utf8');
    const image = join(work, 'disk.img');
    await makeSystem(image, {
      files: {
        'etc/hostname': 'target\n',
        'etc/machine-id': '',
        'etc/network/interfaces': `auto lo eth0\niface lo inet loopback\niface eth0 inet static\n  address ${OWN_ADDRESS}/24\n`,
        'etc/ssh/ssh_host_ed25519_key': text('host-key'),
        'etc/ssh/ssh_host_ed25519_key.pub': text('host-key.pub'),
        'root/.ssh/authorized_keys': text('key.pub'),
      },
      units: [],
    });
    await makeItBoot(image, controller('virtio-blk'));
    await must('sh', ['-c', `printf 'target %s\\n' "$(cat "$1/host-key.pub")" > "$1/known_hosts"`, 'sh', work]);
    await using disk = await mountDisk(image, true);
    const boot = join(disk.dir, 'boot');
    const named = (start: string) => join(boot, readdirSync(boot).find((name) => name.startsWith(start)) ?? start);
    await must('cp', [named('vmlinuz-'), join(work, 'kernel')]);
    await must('cp', [named('initrd.img-'), join(work, 'initramfs')]);
    await must('sh', ['-c', `blkid -p -s UUID -o value "$1" > "$2/uuid"`, 'sh', disk.partition, work]);
  });
  return {
    image: join(dir, 'disk.img'),
    kernel: join(dir, 'kernel'),
    initramfs: join(dir, 'initramfs'),
    words: `root=UUID=${readFileSync(join(dir, 'uuid'), 'utf8').trim()} ro net.ifnames=0 ${KERNEL_WORDS}`,
    login: { keyFile: join(dir, 'key'), knownHosts: join(dir, 'known_hosts'), hostName: 'target' },
  };
}
