/** The kernels of a moved system, and whether they have the drivers that the target needs. */
import { isThere, namesIn, readText } from './inside-root.ts';
import type { Ran } from './run.ts';

/** Versions that have both an image in /boot and modules. */
export function kernelsOf(root: string): readonly string[] {
  return namesIn(root, 'boot')
    .flatMap((name) => (name.startsWith('vmlinuz-') ? [name.slice('vmlinuz-'.length)] : []))
    .filter((version) => isThere(root, `lib/modules/${version}/modules.dep`));
}

export interface ResolvedDrivers {
  /** Modules by name. */
  readonly modules: readonly string[];
  /** What this kernel has no driver for. */
  readonly missing: readonly string[];
}

/** Drivers by name or modalias, as this kernel calls them. `modprobe` runs inside the root. */
export async function resolveDrivers(
  root: string,
  kernel: string,
  drivers: readonly string[],
  inside: (command: readonly string[]) => Promise<Ran>,
): Promise<ResolvedDrivers> {
  const builtin = new Set(
    (readText(root, `lib/modules/${kernel}/modules.builtin`) ?? '').split('\n').map((path) => moduleName(path)),
  );
  const modules = new Set<string>();
  const missing: string[] = [];
  let resolved = 0;
  for (const driver of drivers) {
    const { code, stdout } = await inside(['modprobe', '--set-version', kernel, '--resolve-alias', driver]);
    const found = code === 0 ? stdout.split('\n').filter((line) => line !== '') : [];
    for (const one of found) if (!builtin.has(one.replaceAll('-', '_'))) modules.add(one);
    if (found.length > 0 || builtin.has(driver.replaceAll('-', '_'))) resolved += 1;
    // A bridge on the way has an alias, and mostly no driver.
    else if (!driver.includes(':')) missing.push(driver);
  }
  if (resolved === 0 && missing.length === 0) missing.push(...drivers);
  return { modules: [...modules], missing };
}

function moduleName(path: string): string {
  return (path.split('/').at(-1) ?? '').replace(/\.ko.*$/, '').replaceAll('-', '_');
}

/** Which of the modules an initramfs lacks, by what `lsinitramfs` lists of it. */
export function lackingModules(listing: string, modules: readonly string[]): readonly string[] {
  const there = new Set(
    listing.split('\n').flatMap((path) => (/\.ko(?:\.\w+)?$/.test(path) ? [moduleName(path)] : [])),
  );
  return modules.filter((name) => !there.has(name.replaceAll('-', '_')));
}
