/** What this machine is, as its kernel tells in /sys. */
import { existsSync, readdirSync, readFileSync, realpathSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { GodwitError } from '../../kernel/errors.ts';
import { run } from './run.ts';
import type { Hardware, Nic } from './target.ts';

/** Devices below the block device: partitions on disks, disks below mappings. */
function disksBelow(device: string): readonly string[] {
  const at = realpathSync(`/sys/class/block/${device}`);
  const slaves = namesIn(join(at, 'slaves'));
  if (slaves.length > 0) return slaves.flatMap(disksBelow);
  return [existsSync(join(at, 'partition')) ? realpathSync(dirname(at)) : at];
}

/** From a device up to its bus: what each step is called in the kernels' tables of drivers. */
function aliasesAbove(device: string): readonly string[] {
  const aliases: string[] = [];
  for (let at = device; at.startsWith('/sys/devices/'); at = dirname(at)) {
    const alias = readLine(join(at, 'modalias'));
    if (alias !== undefined) aliases.unshift(alias);
    // NVMe and others have steps without an alias; their driver has a name all the same.
    else {
      const driver = moduleOf(at);
      if (driver !== undefined) aliases.unshift(driver);
    }
  }
  return aliases;
}

function moduleOf(device: string): string | undefined {
  try {
    return realpathSync(join(device, 'driver', 'module'))
      .split('/')
      .at(-1);
  } catch {
    return undefined;
  }
}

/** Disks of hardware, without what is made of memory, files and other disks. */
function wholeDisks(): readonly string[] {
  return namesIn('/sys/block').filter((name) => existsSync(`/sys/block/${name}/device`));
}

/** As the kernel calls it, whatever link leads to it. */
function nameOf(device: string): string {
  const name = existsSync(device) ? basename(realpathSync(device)) : undefined;
  if (name === undefined || !existsSync(`/sys/class/block/${name}`))
    throw new GodwitError('GW1001', `${device} is no disk of this machine`);
  return name;
}

/** The machine that this runs on, as far as the disks below `devices` need it. */
export async function thisMachine(devices: readonly string[]): Promise<Hardware> {
  const given = devices.length > 0 ? devices.map(nameOf) : wholeDisks();
  const disks = new Set(given.flatMap(disksBelow));
  const drivers = new Set([...disks].flatMap((disk) => [...aliasesAbove(realpathSync(disk))]));
  const nics = namesIn('/sys/class/net').flatMap((name): readonly Nic[] => {
    const at = join('/sys/class/net', name);
    const mac = readLine(join(at, 'address'));
    // Bridges, tunnels and the like have no device.
    if (mac === undefined || !existsSync(join(at, 'device')) || readLine(join(at, 'type')) !== '1') return [];
    return [{ mac, drivers: [...aliasesAbove(realpathSync(join(at, 'device')))] }];
  });
  const { stdout } = await run('systemd-detect-virt', ['--vm']);
  return {
    version: 1,
    firmware: existsSync('/sys/firmware/efi') ? 'uefi' : 'bios',
    hypervisor: stdout.trim() || 'none',
    drivers: [...drivers],
    nics,
  };
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

function readLine(file: string): string | undefined {
  try {
    return readFileSync(file, 'utf8').trim() || undefined;
  } catch {
    return undefined;
  }
}
