/**
 * `npm run kernel:protect`: the three roles of a volume in a virtual machine of their own, and the kernel's own NBD client
 * with a file system on it. Its user fills the memory that it shares with the server of the volume (trap 21): that ends,
 * where the server may be an I/O flusher; the same without that right is told of beside it. Exit code 1 when anything is not
 * as it must be.
 */
import { mkdirSync, readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { cardOf, controller } from '../boots/controllers.ts';
import { makeDisk } from '../boots/disk.ts';
import { ownSystem } from '../boots/own-system.ts';
import { installTools } from '../boots/packages.ts';
import { makeTools, mountTools } from '../boots/tools.ts';
import { Vm } from '../boots/vm.ts';
import { makeWorkDir } from '../boots/work-dir.ts';
import { ProcessGuard } from '../servers/process-guard.ts';

const DISK_MEGABYTES = 3000;
/** For what takes two minutes and a half in an emulated machine where nothing hangs. */
const HANGS_S = 900;
/** Without the right; how it ends there decides nothing. */
const CONTROL_S = 240;
const SCRIPT = new URL('in-machine.sh', import.meta.url);

const startedAt = performance.now();
const say = (line: string) =>
  console.log(`${((performance.now() - startedAt) / 1000).toFixed(0).padStart(5)} s  ${line}`);
const wrong: string[] = [];

const dir = makeWorkDir();
const guard = new ProcessGuard(dir);

/** In a machine of its own, because what hangs there can be ended by nothing else. */
async function fill(isFlusher: boolean): Promise<readonly string[]> {
  const at = join(dir, isFlusher ? 'with' : 'without');
  mkdirSync(at);
  const image = join(at, 'disk.img');
  await makeDisk(image, DISK_MEGABYTES, 'gpt');
  const own = await ownSystem();
  await using vm = await Vm.start({
    ...{ dir: at, guard, image, own, firmware: 'bios', shares: await makeTools(at) },
    ...{ controller: controller('virtio-blk'), card: cardOf('ahci') },
  });
  await mountTools(vm, own.login);
  say(`a machine ${isFlusher ? 'whose server may be an I/O flusher' : 'without that right'} runs`);
  const words = `set -- ${isFlusher ? `with ${HANGS_S}` : `without ${CONTROL_S}`}\n${readFileSync(SCRIPT, 'utf8')}`;
  return (await vm.ssh(own.login, words)).trim().split('\n');
}

try {
  await installTools();
  const told = await fill(true);
  for (const line of told) say(line);
  for (const line of ['flusher: on', 'fill: ended with 0', 'check: clean', 'level: yes'])
    if (!told.includes(line)) wrong.push(`it did not say "${line}"`);
  const control = await fill(false);
  for (const line of control) say(line);
  if (!control.includes('flusher: denied')) wrong.push('without the right, status did not say so');
} catch (error) {
  wrong.push(error instanceof Error ? (error.stack ?? error.message) : String(error));
} finally {
  guard.cleanUpNow();
  rmSync(dir, { recursive: true, force: true });
}
for (const what of wrong) console.log(`✗ ${what}`);
console.log(wrong.length === 0 ? 'all is as it must be' : `${wrong.length} not as they must be`);
process.exit(wrong.length === 0 ? 0 : 1);
