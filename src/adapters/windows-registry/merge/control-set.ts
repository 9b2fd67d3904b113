/** Which control set of a SYSTEM hive is meant: `Select` says it, and it need not be the first. */
import { GodwitError } from '../../../kernel/errors.ts';
import { dwordOf, type HiveKey, subkey } from '../tree.ts';

/** Name of the control set that was in use. GW2305 where the hive has none. */
export function currentControlSet(root: HiveKey, whose: string): string {
  const number = dwordOf(subkey(root, 'Select'), 'Current');
  const name = number === undefined ? undefined : existing(root, number);
  if (name === undefined) {
    throw new GodwitError('GW2305', `The hive of the ${whose} has no control set that Select\\Current names`);
  }
  return name;
}

/** The current one, and the one that is booted next where that is another. */
export function bootControlSets(root: HiveKey, whose: string): readonly string[] {
  const next = dwordOf(subkey(root, 'Select'), 'Default');
  const sets = [currentControlSet(root, whose), next === undefined ? undefined : existing(root, next)];
  return [...new Set(sets.filter((name) => name !== undefined))];
}

function existing(root: HiveKey, number: number): string | undefined {
  return subkey(root, `ControlSet${String(number).padStart(3, '0')}`)?.name;
}
