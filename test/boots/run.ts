/** A system on its way to several machines: moved once, adapted for each on a copy of its own. */
import { mkdirSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import type { AdaptResult } from '../../src/routes/relocate/adapt/api.ts';
import { must } from '../files/file-system.ts';
import { move } from '../files/move.ts';
import type { ProcessGuard } from '../servers/process-guard.ts';
import { adaptHere, wrongAdaptation } from './adapt-here.ts';
import { type Controller, cardOf, SOURCE_CARD, type Target } from './controllers.ts';
import type { Customer } from './customer.ts';
import { makeDisk, mountDisk } from './disk.ts';
import { type LiveMove, moveLive } from './move-live.ts';
import { adaptThere, makeLayers, mountTarget, restart, startByKexec } from './own-machine.ts';
import { type OwnSystem, ownSystem } from './own-system.ts';
import { type PairResult, runPair, whatIsWrong } from './pair.ts';
import { type Source, sourceFor } from './source.ts';
import { DISK_MEGABYTES } from './system.ts';
import { mountTools, type Shares } from './tools.ts';
import { Vm } from './vm.ts';

export interface Run {
  readonly from: Controller;
  readonly dir: string;
  readonly guard: ProcessGuard;
  readonly say: (line: string) => void;
  readonly shares: Shares;
}

type Orders = Pick<Customer, 'taken' | 'failed'>;

/** Out of a running machine into another one, which then becomes it; what arrived is tried on the others, too. */
export async function* relocated(run: Run, targets: readonly Target[]): AsyncGenerator<PairResult> {
  const { from, dir, guard, say, shares } = run;
  const [first] = targets;
  if (first === undefined) return;
  const source = await sourceFor(from);
  const own = await ownSystem();
  say(`the source for ${from.name} and the target's own system are there`);
  const moved = await emptyDisk(run);
  const rest = join(dir, 'rest.img');
  const wrong: string[] = [];
  let { root } = moved;
  let orders: Orders;
  {
    await using target = await ownMachine(run, first, moved.image, own);
    {
      await using vm = await Vm.start({
        dir: machineDir(run, 'source'),
        guard,
        image: source.image,
        controller: from,
        card: SOURCE_CARD,
        firmware: 'bios',
        shares,
      });
      const outcome = await vm.outcome();
      if (outcome.kind !== 'serves') throw new Error(`the source ${outcome.kind}: ${outcome.told}`);
      say(`the source serves, ${outcome.seconds.toFixed(1)} s after power on`);
      root = await makeLayers(target, own.login, root, first.layers);
      const live = await moveLive({ vm, login: source.login }, { vm: target, login: own.login }, root);
      orders = live.orders;
      say(liveText(live));
      wrong.push(...wrongMove(live));
    }
    // Stopped: both have the same address.
    if (targets.length > 1) await must('cp', ['--sparse=always', moved.image, rest]);
    await mountTarget(target, own.login, root);
    wrong.push(...(await adaptedThere(run, first, target, own)));
  }
  const pair = await runPair({ ...run, to: first, source, image: moved.image, orders });
  yield { ...pair, wrong: [...wrong, ...pair.wrong] };
  for (const to of targets.slice(1))
    yield await tryTarget(run, to, { source, disk: { ...moved, image: rest }, orders });
}

/** What arrived, to be adapted for one target after another. */
export interface Moved {
  readonly source: Source;
  readonly disk: Disk;
  readonly orders: Orders;
}

/** From its disk, by the same agent and receiver, without running machines. */
export async function movedAtRest(run: Run): Promise<Moved> {
  const source = await sourceFor(run.from);
  const disk = await emptyDisk(run);
  await using from = await mountDisk(source.image, true);
  await using to = await mountDisk(disk.image);
  const { result } = await move(from.dir, to.dir);
  if (result.outcome !== 'proven') throw new Error(`the copy is ${result.outcome}: ${result.because}`);
  run.say(`moved from ${run.from.name}, at rest`);
  return { source, disk, orders: { taken: [], failed: [] } };
}

interface Disk {
  readonly image: string;
  /** Its root as mount understands it. */
  readonly root: string;
}

async function emptyDisk(run: Run): Promise<Disk> {
  const image = join(run.dir, `moved-${run.from.name}.img`);
  await makeDisk(image, DISK_MEGABYTES, 'gpt');
  await using disk = await mountDisk(image);
  const uuid = (await must('blkid', ['-p', '-s', 'UUID', '-o', 'value', disk.partition])).trim();
  return { image, root: `UUID=${uuid}` };
}

/** Adapted for this target on a copy: in a machine where the host has no file system for its boot loader, else beside it. */
export async function tryTarget(run: Run, to: Target, { source, disk, orders }: Moved): Promise<PairResult> {
  const image = join(run.dir, `${run.from.name}-${to.controller.name}-${to.firmware}.img`);
  const wrong: string[] = [];
  try {
    await must('cp', ['--sparse=always', disk.image, image]);
    if (to.firmware === 'uefi') {
      const own = await ownSystem();
      await using vm = await ownMachine(run, to, image, own);
      await mountTools(vm, own.login);
      await mountTarget(vm, own.login, disk.root);
      wrong.push(...(await adaptedThere(run, to, vm, own)));
    } else {
      const results = await adaptHere(image, to);
      run.say(`adapted for ${to.name} beside it, ${secondsOf(results)} s`);
      wrong.push(...wrongAdaptation(results));
    }
    const pair = await runPair({ ...run, to, source, image, orders });
    return { ...pair, wrong: [...wrong, ...pair.wrong] };
  } catch (error) {
    const why = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return { from: run.from.name, to: to.name, adapted: undefined, control: 'not tried', wrong: [...wrong, why] };
  } finally {
    rmSync(image, { force: true });
  }
}

/** Out of the system that the machine runs until then, without the firmware: a restart would end this machine. */
export async function tryKexec(run: Run, to: Target, { source, disk, orders }: Moved): Promise<readonly string[]> {
  const image = join(run.dir, `${run.from.name}-${to.controller.name}-kexec.img`);
  try {
    await must('cp', ['--sparse=always', disk.image, image]);
    const wrong = [...wrongAdaptation(await adaptHere(image, to))];
    const own = await ownSystem();
    await using vm = await ownMachine(run, to, image, own);
    await mountTools(vm, own.login);
    await mountTarget(vm, own.login, disk.root);
    const before = vm.seconds;
    await startByKexec(vm, own.login);
    const outcome = await vm.outcome();
    if (outcome.kind !== 'serves') return [...wrong, `by kexec it ${outcome.kind}: ${outcome.told}`];
    run.say(`${run.from.name} → ${to.name}: by kexec it serves after ${(outcome.seconds - before).toFixed(1)} s`);
    return [...wrong, ...(await whatIsWrong(vm, { source, to, orders }))];
  } finally {
    rmSync(image, { force: true });
  }
}

function ownMachine(run: Run, to: Target, image: string, own: OwnSystem): Promise<Vm> {
  return Vm.start({
    dir: machineDir(run, `own-${run.from.name}-${to.controller.name}`),
    guard: run.guard,
    image,
    controller: to.controller,
    card: cardOf(to.controller.name),
    firmware: to.firmware,
    own,
    shares: run.shares,
  });
}

async function adaptedThere(run: Run, to: Target, vm: Vm, own: OwnSystem): Promise<readonly string[]> {
  const results = await adaptThere(vm, own.login, to.firmware);
  run.say(`adapted for ${to.name} in the machine itself, ${secondsOf(results)} s`);
  const wrong = [...wrongAdaptation(results)];
  const { firmware, nics } = results[0]?.hardware ?? {};
  if (firmware !== to.firmware || nics?.[0]?.mac !== cardOf(to.controller.name).mac)
    wrong.push(`the machine describes itself as ${JSON.stringify(results[0]?.hardware)}`);
  await restart(vm, own.login);
  return wrong;
}

function secondsOf(results: readonly AdaptResult[]): string {
  return (results[0]?.commands ?? []).reduce((sum, { seconds }) => sum + seconds, 0).toFixed(1);
}

function machineDir(run: Run, name: string): string {
  const dir = join(run.dir, name);
  mkdirSync(dir, { recursive: true });
  return dir;
}

function liveText({ result, cutover, orders }: LiveMove): string {
  const { certificate, roundCount, durationSeconds, outcome } = result;
  return (
    `relocated: ${outcome}, ${certificate?.entries ?? 0} names, ${((certificate?.bytes ?? 0) / 1e6).toFixed(0)} MB, ` +
    `${roundCount} rounds, ${durationSeconds.toFixed(0)} s; services stood still ${((cutover.gapMs ?? 0) / 1000).toFixed(1)} s ` +
    `before the restart; ${orders.taken.length} orders taken meanwhile`
  );
}

function wrongMove({ result, cutover, orders, failedBefore }: LiveMove): readonly string[] {
  const wrong: string[] = [];
  if (result.outcome !== 'committed' || cutover.outcome !== 'running')
    wrong.push(`the move is ${result.outcome}, the cutover ${cutover.outcome}: ${result.because}`);
  if (orders.taken.length === 0) wrong.push('no order was taken while it was moved');
  if (failedBefore.length > 0) wrong.push(`before the cutover ${failedBefore.length} orders failed`);
  return wrong;
}
