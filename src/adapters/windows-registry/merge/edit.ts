/** Changes to a tree that leave the tree they began with as it was: keys on the way are copied. */
import { sameName } from '../names.ts';
import type { HiveKey } from '../tree.ts';

/** A copy of a key whose lists can be changed. */
export function editableKey(key: HiveKey): HiveKey {
  return { ...key, subkeys: [...key.subkeys], values: [...key.values] };
}

/** The subkey of an editable key, itself made editable; undefined where there is none. */
export function editChild(parent: HiveKey, name: string): HiveKey | undefined {
  const at = parent.subkeys.findIndex((child) => sameName(child.name, name));
  if (at < 0) return undefined;
  const copy = editableKey(parent.subkeys[at]!);
  parent.subkeys[at] = copy;
  return copy;
}

export function editPath(root: HiveKey, path: readonly string[]): HiveKey | undefined {
  let key: HiveKey | undefined = root;
  for (const name of path) key = key && editChild(key, name);
  return key;
}

/** Puts a key in place of the one of its name, or adds it; tells whether there was one. */
export function putChild(parent: HiveKey, child: HiveKey): boolean {
  const at = parent.subkeys.findIndex(({ name }) => sameName(name, child.name));
  if (at < 0) parent.subkeys.push(child);
  else parent.subkeys[at] = child;
  return at >= 0;
}
