/** Whether two trees say the same: what is written is read back and compared before anybody relies on it. */
import { upperName } from './names.ts';
import type { HiveKey, HiveValue } from './tree.ts';

/** The path of the first difference, or undefined. The order of subkeys does not count; that of values does. */
export function sameTree(a: HiveKey, b: HiveKey, path = ''): string | undefined {
  const here = `${path}\\${a.name}`;
  const same =
    a.name === b.name &&
    a.flags === b.flags &&
    a.timestamp === b.timestamp &&
    a.accessBits === b.accessBits &&
    a.userFlags === b.userFlags &&
    a.handle === b.handle &&
    sameBytes(a.className, b.className) &&
    sameBytes(a.security, b.security) &&
    a.values.length === b.values.length &&
    a.subkeys.length === b.subkeys.length &&
    a.values.every((value, index) => sameValue(value, b.values[index]!));
  if (!same) return here;
  const others = new Map(b.subkeys.map((child) => [upperName(child.name), child]));
  for (const child of a.subkeys) {
    const other = others.get(upperName(child.name));
    if (other === undefined) return `${here}\\${child.name}`;
    const difference = sameTree(child, other, here);
    if (difference !== undefined) return difference;
  }
  return undefined;
}

function sameValue(a: HiveValue, b: HiveValue): boolean {
  return a.name === b.name && a.type === b.type && a.flags === b.flags && sameBytes(a.data, b.data);
}

function sameBytes(a: Uint8Array | undefined, b: Uint8Array | undefined): boolean {
  if (a === undefined || b === undefined) return a === b;
  return Buffer.compare(a, b) === 0;
}
