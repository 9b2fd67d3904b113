/** One pair of controllers: the adapted system boots on the second and serves; the same one not adapted does not. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { ProcessGuard } from '../servers/process-guard.ts';
import { type Controller, cardOf, type Target } from './controllers.ts';
import { type Customer, isTaken, wrongOrders } from './customer.ts';
import type { Source } from './source.ts';
import { type Outcome, type Refusal, Vm } from './vm.ts';

export interface PairResult {
  readonly from: string;
  readonly to: string;
  /** Seconds from power on to the first answer. */
  readonly adapted: number | undefined;
  /** What the one that was not adapted said. */
  readonly control: Outcome['kind'] | 'not tried';
  readonly wrong: readonly string[];
}

export interface PairOptions {
  readonly from: Controller;
  readonly to: Target;
  readonly source: Source;
  /** What was moved, and adapted. */
  readonly image: string;
  readonly dir: string;
  readonly guard: ProcessGuard;
  /** What was ordered before. */
  readonly orders: Pick<Customer, 'taken' | 'failed'>;
}

export async function runPair(options: PairOptions): Promise<PairResult> {
  const { from, to, source, image, guard } = options;
  const at = join(options.dir, `${from.name}-${to.name}`);
  const machine = (name: string, disk: string) => {
    const dir = join(at, name);
    mkdirSync(dir, { recursive: true });
    const { controller, firmware } = to;
    return Vm.start({ dir, guard, image: disk, controller, card: cardOf(to.controller.name), firmware });
  };
  try {
    await using adapted = await machine('adapted', image);
    await using control = await machine('control', source.image);
    const [outcome, refusal] = await Promise.all([adapted.outcome(), control.outcome()]);
    const wrong: string[] = [];
    if (outcome.kind === 'serves') wrong.push(...(await whatIsWrong(adapted, options)));
    else wrong.push(`the adapted system ${outcome.kind}: ${outcome.told}`);
    // It must say itself what it does not find: that nothing is heard of it shows nothing.
    const expected = refusalOf(from, to);
    if (refusal.kind !== expected)
      wrong.push(`the control, which was not adapted, ${refusal.kind} in place of: ${expected}`);
    return {
      from: from.name,
      to: to.name,
      adapted: outcome.kind === 'serves' ? outcome.seconds : undefined,
      control: refusal.kind,
      wrong,
    };
  } finally {
    rmSync(at, { recursive: true, force: true });
  }
}

/** What a copy of the disk, put into that machine as it is, lacks. */
function refusalOf(from: Controller, to: Target): Refusal {
  if (to.firmware === 'uefi') return 'finds no loader';
  return from === to.controller ? 'finds no card' : 'finds no root';
}

/** The system that came up is the one that was moved: host key (ssh refuses another), machine-id, name of the card, orders. */
export async function whatIsWrong(
  vm: Vm,
  { source, to, orders }: Pick<PairOptions, 'source' | 'to' | 'orders'>,
): Promise<readonly string[]> {
  const card = cardOf(to.controller.name);
  const words =
    'cat /etc/machine-id /sys/class/net/ens3/address /etc/hostname; ls /sys/firmware; cat /proc/mounts; lsblk -rno TYPE';
  const told = await vm.ssh(source.login, words);
  const [machineId, mac, name] = told.split('\n');
  const wrong = await wrongOrders(vm, orders);
  if (machineId !== source.machineId) wrong.push(`machine-id ${machineId} in place of ${source.machineId}`);
  if (mac !== card.mac) wrong.push(`ens3 is ${mac} and not ${card.mac}`);
  if (name !== 'shop') wrong.push(`the host is called ${name}`);
  if (!/ \/ ext4 rw/.test(told)) wrong.push('the root is not mounted for writing');
  if (/^efi$/m.test(told) !== (to.firmware === 'uefi')) wrong.push(`it was not started by ${to.firmware}`);
  for (const layer of to.layers) {
    const type = { raid: 'raid1', lvm: 'lvm' }[layer];
    if (!told.split('\n').includes(type)) wrong.push(`its root has no ${type}`);
  }
  if (!(await isTaken(vm, 'after-the-move'))) wrong.push('it takes no orders');
  return wrong;
}
