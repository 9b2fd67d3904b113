/** A target machine that runs a system of its own, before it becomes the moved one: what is done there to the target's disk. */
import type { Hardware } from '../../src/adapters/linux-boot/index.ts';
import type { AdaptResult } from '../../src/routes/relocate/adapt/api.ts';
import type { Layer } from './controllers.ts';
import type { Login } from './source.ts';
import { RELOCATE, resultOf } from './tools.ts';
import type { Vm } from './vm.ts';

export async function mountTarget(vm: Vm, login: Login, root: string): Promise<void> {
  await vm.ssh(login, `mkdir -p /mnt/new && mount ${root} /mnt/new`);
}

/** How each layer is put on the device `$at`, which it becomes itself. */
const MAKE: Readonly<Record<Layer, string>> = {
  raid: 'mdadm --quiet --create /dev/md0 --run --force --level=1 --raid-devices=1 --metadata=1.2 $at; at=/dev/md0',
  lvm: 'pvcreate -qff -y $at; vgcreate -q shop $at; lvcreate -qy -n root -l 100%FREE shop; at=/dev/shop/root',
};

/** In place of the empty root: an empty root that is made of layers. */
export async function makeLayers(vm: Vm, login: Login, root: string, layers: readonly Layer[]): Promise<string> {
  if (layers.length === 0) return root;
  const make = ['set -e', `at=$(findfs ${root})`, 'wipefs -qa $at', ...layers.map((layer) => MAKE[layer])];
  const told = await vm.ssh(login, [...make, 'mkfs.ext4 -q $at', 'echo root $at'].join('\n'));
  return /^root (.+)$/m.exec(told)?.[1] ?? root;
}

export async function unmountTarget(vm: Vm, login: Login): Promise<void> {
  await vm.ssh(login, 'umount -R /mnt/new');
}

/** Adapts what is mounted to the machine that it is on; the second time there is nothing to do. */
export async function adaptThere(vm: Vm, login: Login, firmware: Hardware['firmware']): Promise<AdaptResult[]> {
  if (firmware === 'uefi')
    await vm.ssh(login, 'mkdir -p /mnt/new/boot/efi && mount /dev/disk/by-label/ESP /mnt/new/boot/efi');
  const adapt = `${RELOCATE} adapt --root /mnt/new --json`;
  return [resultOf(await vm.ssh(login, adapt)), resultOf(await vm.ssh(login, adapt))];
}

/** Into the system on its disk, without the firmware. */
export async function startByKexec(vm: Vm, login: Login): Promise<void> {
  await vm.ssh(login, `${RELOCATE} load --root /mnt/new --json`);
  await unmountTarget(vm, login);
  await vm.ssh(login, "nohup sh -c 'sleep 1; systemctl kexec' > /dev/null 2>&1 &");
  vm.becomesMoved();
}

/** Into the system on its disk, as far as the machine goes: one starts it anew. */
export async function restart(vm: Vm, login: Login): Promise<void> {
  await unmountTarget(vm, login);
  await vm.ssh(login, "nohup sh -c 'sleep 1; reboot -f' > /dev/null 2>&1 &");
  await vm.off();
}
