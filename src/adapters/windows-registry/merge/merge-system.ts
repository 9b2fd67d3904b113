/**
 * The merge of two SYSTEM hives (seed S3.10): the source's, with what the
 * target's says about its hardware and the drivers for it. See DESIGN.md for
 * the policy by family and its reasons.
 */
import { sameName, upperName } from '../names.ts';
import { countTree, dwordOf, dwordValue, type Hive, type HiveKey, keyAt, setValue, subkey, textOf } from '../tree.ts';
import { bootControlSets, currentControlSet } from './control-set.ts';
import { boundDevices } from './devices.ts';
import { editableKey, editChild, editPath, putChild } from './edit.ts';
import { usableServices, withoutDeadFilters } from './filters.ts';
import { TOOL_SERVICES } from './hypervisors.ts';
import type { BootDriver, Family, MergeReport, Skipped, SwitchedOff, Taken } from './report.ts';
import { driverFile, isBootStart, isDriver, START, servicesInUse } from './services.ts';
import { requireSameWindows, type WindowsVersion } from './windows-version.ts';

export interface MergeSide {
  readonly hive: Hive;
  /** From its SOFTWARE hive, where there is one. */
  readonly version?: WindowsVersion | undefined;
}

export interface MergeOptions {
  /** Whether a driver's file, by its path from `%SystemRoot%` on, will be there when the result boots. */
  readonly fileExists: (path: string) => boolean;
  /** Somebody vouches that both are the same Windows; what the hives say against it still counts. */
  readonly isSameWindows?: boolean;
}

const WHOLE_HIVE: readonly Family[] = ['DriverDatabase', 'MountedDevices', 'HardwareConfig'];
const CONTROL_SET: readonly Family[] = [
  'Enum',
  'Control\\Class',
  'Control\\DeviceClasses',
  'Control\\CriticalDeviceDatabase',
];

/** The result shares subtrees with both hives, which stay as they are. GW2304, GW2305. */
export function mergeSystem(
  source: MergeSide,
  target: MergeSide,
  options: MergeOptions,
): { hive: Hive; report: MergeReport } {
  const [from, to] = [target.hive.root, source.hive.root];
  requireSameWindows(
    { root: to, version: source.version },
    { root: from, version: target.version },
    options.isSameWindows === true,
  );
  const targetSet = currentControlSet(from, 'target');
  const controlSets = bootControlSets(to, 'source');
  const merge = new Merge(editableKey(to), from, options.fileExists);
  for (const family of WHOLE_HIVE) merge.takeFamily(family, '', '');
  for (const controlSet of controlSets) merge.adapt(controlSet, targetSet);
  const { root, taken, skipped, switchedOff } = merge;
  return {
    hive: { ...source.hive, root },
    report: {
      source: { controlSet: controlSets[0]! },
      target: { controlSet: targetSet },
      controlSets,
      taken,
      skipped,
      switchedOff,
      bootDrivers: merge.bootDrivers(controlSets[0]!),
    },
  };
}

class Merge {
  /** The result, begun as the source's. */
  readonly root: HiveKey;
  readonly taken: Taken[] = [];
  readonly skipped: Skipped[] = [];
  readonly switchedOff: SwitchedOff[] = [];
  readonly #target: HiveKey;
  readonly #fileExists: (path: string) => boolean;

  constructor(root: HiveKey, target: HiveKey, fileExists: (path: string) => boolean) {
    this.root = root;
    this.#target = target;
    this.#fileExists = fileExists;
  }

  adapt(controlSet: string, targetSet: string): void {
    for (const family of CONTROL_SET) this.takeFamily(family, controlSet, targetSet);
    this.#takeServices(controlSet, targetSet);
    this.#switchToolsOff(controlSet, targetSet);
    this.#removeDeadFilters(controlSet);
  }

  /** The target's key of that name in place of the source's, with all below it. */
  takeFamily(family: Family, controlSet: string, targetSet: string): void {
    const names = family.split('\\');
    const path = [...(controlSet === '' ? [] : [controlSet]), ...names];
    const from = keyAt(this.#target, [...(targetSet === '' ? [] : [targetSet]), ...names]);
    const parent = editPath(this.root, path.slice(0, -1));
    if (from === undefined || parent === undefined) {
      this.skipped.push({ path: path.join('\\'), why: 'target-lacks-it', what: family });
      return;
    }
    this.#take(parent, from, path.join('\\'), family);
  }

  bootDrivers(controlSet: string): readonly BootDriver[] {
    const devices = boundDevices(this.root, controlSet);
    const services = keyAt(this.root, [controlSet, 'Services']);
    return this.taken
      .filter(({ family, path }) => family === 'Services' && path.startsWith(`${controlSet}\\`))
      .map(({ path }) => subkey(services, path.split('\\').at(-1)!))
      .filter((service) => service !== undefined && isBootStart(service))
      .map((service) => ({
        service: service!.name,
        group: textOf(service, 'Group'),
        file: driverFile(service!) ?? '',
        devices: devices.get(upperName(service!.name)) ?? [],
      }));
  }

  #take(parent: HiveKey, from: HiveKey, path: string, family: Family): void {
    const replaced = putChild(parent, from);
    this.taken.push({ path, family, replaced, ...countTree(from) });
  }

  /** Boot-start drivers of the target; and those its devices use that the source does not have at all. */
  #takeServices(controlSet: string, targetSet: string): void {
    const from = keyAt(this.#target, [targetSet, 'Services']);
    const services = editPath(this.root, [controlSet, 'Services']);
    if (from === undefined || services === undefined) {
      this.skipped.push({ path: `${controlSet}\\Services`, why: 'target-lacks-it', what: 'Services' });
      return;
    }
    const inUse = servicesInUse(keyAt(this.#target, [targetSet])!);
    const own = new Set(services.subkeys.map(({ name }) => upperName(name)));
    for (const service of from.subkeys) {
      const upper = upperName(service.name);
      const isWanted = isBootStart(service) || (isDriver(service) && inUse.has(upper) && !own.has(upper));
      if (!isWanted) continue;
      const path = `${controlSet}\\Services\\${service.name}`;
      const file = driverFile(service);
      if (file !== undefined && this.#fileExists(file)) this.#take(services, service, path, 'Services');
      else this.skipped.push({ path, why: 'file-missing', what: file ?? textOf(service, 'ImagePath') ?? '' });
    }
  }

  /** Tools of the source's hypervisor start no more, unless the target runs under the same one. */
  #switchToolsOff(controlSet: string, targetSet: string): void {
    const services = editPath(this.root, [controlSet, 'Services']);
    const targets = keyAt(this.#target, [targetSet, 'Services']);
    if (services === undefined) return;
    for (const [hypervisor, names] of Object.entries(TOOL_SERVICES)) {
      for (const name of names) {
        const started = dwordOf(subkey(services, name), 'Start');
        const atTarget = dwordOf(subkey(targets, name), 'Start');
        const isTargets = atTarget !== undefined && atTarget !== START.disabled;
        if (started === undefined || started === START.disabled || isTargets) continue;
        const service = editChild(services, name)!;
        setValue(service, dwordValue('Start', START.disabled));
        this.switchedOff.push({ path: `${controlSet}\\Services\\${service.name}`, hypervisor, started });
      }
    }
  }

  #removeDeadFilters(controlSet: string): void {
    const set = editPath(this.root, [controlSet]);
    const services = subkey(set, 'Services');
    if (set === undefined || services === undefined) return;
    const isUsable = usableServices(services);
    const control = editChild(set, 'Control');
    for (const [parent, name] of [
      [set, 'Enum'],
      [control, 'Class'],
    ] as const) {
      const at = parent?.subkeys.findIndex((child) => sameName(child.name, name)) ?? -1;
      if (parent === undefined || at < 0) continue;
      const path = `${controlSet}\\${name === 'Class' ? 'Control\\Class' : 'Enum'}`;
      parent.subkeys[at] = withoutDeadFilters(parent.subkeys[at]!, path, isUsable, this.skipped);
    }
  }
}
