/** Which driver files are there: a folder of Windows seen through a file system that minds the case of names. */
import { existsSync, readdirSync } from 'node:fs';
import { basename, dirname, join, resolve } from 'node:path';

/**
 * Answers for paths from `%SystemRoot%` on. `folder` is System32\drivers; what
 * lies elsewhere is looked for two levels up when the folder stands where it
 * does in a Windows, and else is not there.
 */
export function driverFiles(folder: string): (path: string) => boolean {
  const drivers = resolve(folder);
  const isInWindows =
    basename(drivers).toLowerCase() === 'drivers' && basename(dirname(drivers)).toLowerCase() === 'system32';
  const listings = new Map<string, ReadonlyMap<string, string>>();
  const within = (dir: string, names: readonly string[]): boolean => {
    let at = dir;
    for (const name of names) {
      let listing = listings.get(at);
      if (listing === undefined) {
        listing = new Map(namesIn(at).map((entry) => [entry.toLowerCase(), entry]));
        listings.set(at, listing);
      }
      const entry = listing.get(name.toLowerCase());
      if (entry === undefined) return false;
      at = join(at, entry);
    }
    return existsSync(at);
  };
  return (path) => {
    const names = path.split('\\').filter((name) => name !== '');
    // No path leads out of the folder that it is looked for in.
    if (names.length === 0 || names.some((name) => name === '.' || name === '..' || name.includes('/'))) return false;
    const [first, second, ...rest] = names.map((name) => name.toLowerCase());
    if (first === 'system32' && second === 'drivers') return rest.length > 0 && within(drivers, names.slice(2));
    return isInWindows && within(dirname(dirname(drivers)), names);
  };
}

function namesIn(dir: string): readonly string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
