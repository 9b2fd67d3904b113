/**
 * `npm run boots [-- --from CONTROLLER --to TARGET,… --at-rest --kexec TARGET]`, a target being CONTROLLER or
 * CONTROLLER:uefi; alone, and not at rest, also CONTROLLER:uefi:lvm, :raid, or both
 *
 * A Debian whose initramfs knows one disk controller is moved out of a running machine into another one, while it takes
 * orders, and boots there at the address that it had; then on the other targets. Exit code 1 when anything is not as it
 * must be.
 */
import { rmSync } from 'node:fs';
import { parseArgs } from 'node:util';
import { ProcessGuard } from '../servers/process-guard.ts';
import { cloudKernel } from './cloud-kernel.ts';
import { controller, type Target, targetOf } from './controllers.ts';
import { installTools } from './packages.ts';
import type { PairResult } from './pair.ts';
import { movedAtRest, type Run, relocated, tryKexec, tryTarget } from './run.ts';
import { makeTools } from './tools.ts';
import { makeWorkDir } from './work-dir.ts';

const { values } = parseArgs({
  options: {
    from: { type: 'string', default: 'virtio-blk' },
    // Into the first one it is moved by the receiver in that machine.
    to: { type: 'string', default: 'ahci:uefi,nvme,megasas' },
    'at-rest': { type: 'boolean', default: false },
    // Started there by kexec as well; with --at-rest.
    kexec: { type: 'string' },
  },
});

const targets = values.to.split(',').map(targetOf);
// What is below the file system is made by the machine that it is moved into; this one may not know such devices.
const layered = targets.find(({ layers }) => layers.length > 0);
if (layered !== undefined && (targets.length > 1 || values['at-rest'] || layered.firmware === 'bios')) {
  console.error(`${layered.name}: raid and lvm want a target alone, not at rest, with uefi`);
  process.exit(2);
}
const startedAt = performance.now();
const say = (line: string) =>
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(5)} s  ${line}`);

async function* atRest(run: Run, targets: readonly Target[]): AsyncGenerator<PairResult> {
  const moved = await movedAtRest(run);
  if (values.kexec !== undefined) wrong.push(...(await tryKexec(run, targetOf(values.kexec), moved)));
  for (const to of targets) yield await tryTarget(run, to, moved);
}

const dir = makeWorkDir();
const guard = new ProcessGuard(dir);
const results: PairResult[] = [];
const wrong: string[] = [];
try {
  await installTools();
  const run: Run = { from: controller(values.from), dir, guard, say, shares: await makeTools(dir) };
  const pairs = values['at-rest'] ? atRest(run, targets) : relocated(run, targets);
  for await (const pair of pairs) {
    results.push(pair);
    wrong.push(...pair.wrong.map((what) => `${pair.from} → ${pair.to}: ${what}`));
    const boot = pair.adapted === undefined ? 'does not serve' : `serves ${pair.adapted.toFixed(1)} s after power on`;
    say(`${pair.from} → ${pair.to}: adapted, it ${boot}; not adapted, it ${pair.control}`);
  }
  const lacking = await cloudKernel(dir);
  say(
    `a kernel for clouds: ${lacking.length === 0 ? 'refused where it lacks the driver, nothing changed' : 'not well'}`,
  );
  wrong.push(...lacking);
  if (results.length < targets.length) wrong.push(`only ${results.length} of ${targets.length} pairs were tried`);
} catch (error) {
  wrong.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
} finally {
  guard.cleanUpNow();
  rmSync(dir, { recursive: true, force: true });
}
for (const what of wrong) console.log(`✗ ${what}`);
const well = results.filter((pair) => pair.wrong.length === 0);
console.log(`${well.length} of ${results.length} pairs well, each beside its control that did not come up`);
process.exit(wrong.length === 0 ? 0 : 1);
