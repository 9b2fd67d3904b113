/**
 * Filters of classes and devices. A filter whose service is missing or off
 * keeps its device from starting (of a disk: stop 0x7B), so it is taken out.
 */
import { upperName } from '../names.ts';
import { dwordOf, type HiveKey, multiTextValue, REG, setValue, stringsOf, valueAt } from '../tree.ts';
import { editableKey } from './edit.ts';
import type { Skipped } from './report.ts';
import { FILTER_VALUES, START } from './services.ts';

/** The key, or a copy where something below it had to change. */
export function withoutDeadFilters(
  key: HiveKey,
  path: string,
  isUsable: (service: string) => boolean,
  skipped: Skipped[],
): HiveKey {
  let result = key;
  for (const name of FILTER_VALUES) {
    const value = valueAt(key, name);
    if (value === undefined || (value.type !== REG.multiSz && value.type !== REG.sz)) continue;
    const filters = stringsOf(value).filter((filter) => filter !== '');
    const dead = filters.filter((filter) => !isUsable(filter));
    if (dead.length === 0) continue;
    for (const what of dead) skipped.push({ path: `${path}\\${value.name}`, why: 'filter-without-service', what });
    if (result === key) result = editableKey(key);
    const alive = filters.filter((filter) => isUsable(filter));
    if (alive.length > 0) setValue(result, multiTextValue(value.name, alive));
    else result.values = result.values.filter((other) => other !== value);
  }
  key.subkeys.forEach((child, index) => {
    const changed = withoutDeadFilters(child, `${path}\\${child.name}`, isUsable, skipped);
    if (changed === child) return;
    if (result === key) result = editableKey(key);
    result.subkeys[index] = changed;
  });
  return result;
}

/** Whether a name stands for a service that may start. */
export function usableServices(services: HiveKey): (name: string) => boolean {
  const usable = new Set(
    services.subkeys
      .filter((service) => dwordOf(service, 'Start') !== START.disabled)
      .map(({ name }) => upperName(name)),
  );
  return (name) => usable.has(upperName(name));
}
