/** The systems that are moved: Debian 12 with a shop at a static address, its initramfs made for one controller only. */
import { randomBytes } from 'node:crypto';
import { copyFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { must } from '../files/file-system.ts';
import type { Controller } from './controllers.ts';
import { cacheDir, keepInCache, keyOf } from './debian.ts';
import { mountDisk } from './disk.ts';
import { makeItBoot, makeSystem } from './system.ts';
import { makeWorkDir } from './work-dir.ts';

export const ADDRESS = '10.9.8.7';
/** Of the machine that everything runs on, as the machines see it. */
export const HOST_ADDRESS = '10.9.8.2';
export const PAGE = 'the shop is open\n';

const UNIT = `[Unit]
Description=The service that must answer after the move
After=network-online.target
Wants=network-online.target
[Service]
ExecStart=/bin/busybox httpd -f -p 80 -h /srv/www
Restart=always
[Install]
WantedBy=multi-user.target
`;
const INTERFACES = `auto lo
iface lo inet loopback

# The address that its users know.
auto ens3
iface ens3 inet static
  address ${ADDRESS}/24
`;
/** An order is acknowledged when it is on the disk. */
const ORDER = `#!/bin/sh
set -e
echo "$QUERY_STRING" >> /srv/www/orders.txt
sync /srv/www/orders.txt
printf 'Content-Type: text/plain\\r\\n\\r\\ntaken %s\\n' "$QUERY_STRING"
`;

export interface Login {
  readonly keyFile: string;
  /** Its host keys, as a client knows them by this name. */
  readonly knownHosts: string;
  readonly hostName: string;
}

export interface Source {
  readonly image: string;
  readonly login: Login;
  readonly machineId: string;
}

/** Everything that makes these systems: another text makes other ones. */
export function recipe(): string {
  const texts = ['source', 'own-system', 'system', 'controllers', 'debian', 'disk', 'partitions'];
  return keyOf(...texts.map((name) => readFileSync(new URL(`./${name}.ts`, import.meta.url), 'utf8')));
}

/** What `make` leaves in a directory of the cache, made once and then only read. */
export async function madeOnce(name: string, make: (work: string) => Promise<void>): Promise<string> {
  const entry = `${name}-${recipe()}`;
  const dir = join(cacheDir(), entry);
  if (existsSync(join(dir, 'done'))) {
    keepInCache(entry);
    return dir;
  }
  rmSync(dir, { recursive: true, force: true });
  mkdirSync(dir, { recursive: true });
  const work = makeWorkDir();
  try {
    await make(work);
    rmSync(join(work, 'disk.img.d'), { recursive: true, force: true });
    await must('cp', ['-r', '--sparse=always', `${work}/.`, dir]);
  } finally {
    rmSync(work, { recursive: true, force: true });
  }
  writeFileSync(join(dir, 'done'), '');
  return dir;
}

/** The shop, which boots nowhere yet. */
const shop = () =>
  madeOnce('shop', async (dir) => {
    await must('ssh-keygen', ['-q', '-t', 'ed25519', '-N', '', '-C', 'boots', '-f', join(dir, 'key')]);
    const machineId = randomBytes(16).toString('hex');
    writeFileSync(join(dir, 'machine-id'), machineId);
    const image = join(dir, 'disk.img');
    await makeSystem(image, {
      files: {
        'etc/machine-id': `${machineId}\n`,
        'etc/hostname': 'shop\n',
        'etc/network/interfaces': INTERFACES,
        'srv/www/index.html': PAGE,
        'srv/www/orders.txt': '',
        'srv/www/cgi-bin/order': ORDER,
        'etc/systemd/system/shop.service': UNIT,
        'root/.ssh/authorized_keys': readFileSync(join(dir, 'key.pub'), 'utf8'),
      },
      units: ['shop.service'],
    });
    await using disk = await mountDisk(image, true);
    const hostKey = readFileSync(join(disk.dir, 'etc/ssh/ssh_host_ed25519_key.pub'), 'utf8');
    writeFileSync(join(dir, 'known_hosts'), `shop ${hostKey.split(' ').slice(0, 2).join(' ')}\n`);
  });

/** The shop on a machine with this controller. */
export async function sourceFor(controller: Controller): Promise<Source> {
  const base = await shop();
  const dir = await madeOnce(`source-${controller.name}`, async (work) => {
    const image = join(work, 'disk.img');
    await must('cp', ['--sparse=always', join(base, 'disk.img'), image]);
    await makeItBoot(image, controller);
    copyFileSync(join(base, 'machine-id'), join(work, 'machine-id'));
  });
  return {
    image: join(dir, 'disk.img'),
    login: { keyFile: join(base, 'key'), knownHosts: join(base, 'known_hosts'), hostName: 'shop' },
    machineId: readFileSync(join(base, 'machine-id'), 'utf8').trim(),
  };
}
