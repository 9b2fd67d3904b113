/** Godwit inside of machines: Node, the built command and its packages, which a machine mounts from the host, and certificates. */
import { copyFileSync, mkdirSync, realpathSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { createCertificates } from '../servers/certificates.ts';
import { HOST_ADDRESS, type Login } from './source.ts';
import type { Vm } from './vm.ts';

const REPOSITORY = fileURLToPath(new URL('../..', import.meta.url));

export type Shares = Readonly<Record<string, string>>;

/** What a machine must be able to mount. */
export async function makeTools(dir: string): Promise<Shares> {
  const tools = join(dir, 'tools');
  mkdirSync(tools, { recursive: true });
  copyFileSync(process.execPath, join(tools, 'node'));
  copyFileSync(join(REPOSITORY, 'package.json'), join(tools, 'package.json'));
  // Machines reach each other through the host.
  const made = await createCertificates(join(dir, 'certificates'), `IP:${HOST_ADDRESS}`);
  copyFileSync(made.caFile, join(tools, 'ca.pem'));
  copyFileSync(made.serverCertKeyFile, join(tools, 'target.pem'));
  copyFileSync(made.clientCertKeyFile, join(tools, 'source.pem'));
  return { tools, dist: join(REPOSITORY, 'dist'), modules: realpathSync(join(REPOSITORY, 'node_modules')) };
}

/** Flags of the one side or the other. */
export function tls(side: 'source' | 'target'): string {
  return `--tls-ca /run/g/tools/ca.pem --tls-cert /run/g/tools/${side}.pem --tls-key /run/g/tools/${side}.pem`;
}

/** In memory, which is not moved; the shares are of another machine, and are not moved either. */
const MOUNT = `set -e
mkdir -p /run/g && mount -t tmpfs g /run/g
modprobe -a 9p 9pnet_virtio
mkdir /run/g/tools /run/g/at /run/g/at/dist /run/g/at/node_modules
options=trans=virtio,version=9p2000.L,ro,cache=loose,msize=512000
mount -t 9p -o $options tools /run/g/tools
mount -t 9p -o $options dist /run/g/at/dist
mount -t 9p -o $options modules /run/g/at/node_modules
cp /run/g/tools/package.json /run/g/at/
printf '#!/bin/sh\\nexec /run/g/tools/node /run/g/at/dist/cli/main.js relocate "$@"\\n' > /run/g/relocate
chmod 755 /run/g/relocate`;

/** As it is called in a machine. */
export const RELOCATE = '/run/g/relocate';

export async function mountTools(vm: Vm, login: Login): Promise<void> {
  await vm.ssh(login, MOUNT);
}

/** The last line of an answer in JSON. */
export function resultOf<Result>(output: string): Result {
  const line = output.trim().split('\n').at(-1) ?? '';
  return (JSON.parse(line) as { result: Result }).result;
}
