/** Driver services: which of the target's the result needs, and where their files are. */
import { upperName } from '../names.ts';
import { dwordOf, type HiveKey, stringsOf, subkey, textOf, valueAt } from '../tree.ts';

export const START = { boot: 0, system: 1, automatic: 2, demand: 3, disabled: 4 } as const;
/** Kernel driver, file-system driver, file-system recogniser. */
const DRIVER_TYPES: readonly (number | undefined)[] = [1, 2, 8];
export const FILTER_VALUES = ['UpperFilters', 'LowerFilters'] as const;

export function isDriver(service: HiveKey): boolean {
  return DRIVER_TYPES.includes(dwordOf(service, 'Type'));
}

export function isBootStart(service: HiveKey): boolean {
  return isDriver(service) && dwordOf(service, 'Start') === START.boot;
}

/**
 * A driver's file, from `%SystemRoot%` on, as Windows finds it: `ImagePath` in
 * one of its spellings, else the service's name among the drivers. Undefined
 * for a file that lies outside of Windows' folder.
 */
export function driverFile(service: HiveKey): string | undefined {
  const image = textOf(service, 'ImagePath') ?? '';
  if (image === '') return `System32\\drivers\\${service.name}.sys`;
  const path = image.replaceAll('/', '\\').replace(/^\\\?\?\\/, '');
  const inside = /^(?:\\?systemroot|%systemroot%|%windir%|[a-z]:\\windows)\\(.+)$/i.exec(path)?.[1];
  if (inside !== undefined) return inside;
  // What is left begins at %SystemRoot% unless it has a root of its own.
  return /^\\|^[a-z]:|^%/i.test(path) ? undefined : path;
}

/** Upper-case names of services that devices and classes of the target refer to. */
export function servicesInUse(controlSet: HiveKey): ReadonlySet<string> {
  const names = new Set<string>();
  const left = [subkey(controlSet, 'Enum'), subkey(subkey(controlSet, 'Control'), 'Class')];
  for (let key = left.pop(); key !== undefined || left.length > 0; key = left.pop()) {
    if (key === undefined) continue;
    const service = textOf(key, 'Service');
    if (service) names.add(upperName(service));
    for (const filters of FILTER_VALUES) {
      const value = valueAt(key, filters);
      for (const name of value ? stringsOf(value) : []) names.add(upperName(name));
    }
    left.push(...key.subkeys);
  }
  return names;
}
