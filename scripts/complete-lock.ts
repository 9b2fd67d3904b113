/**
 * Completes package-lock.json with the optional packages of other platforms.
 * A registry that serves only this platform's binaries makes `npm install`
 * leave the others out, and `npm ci` then refuses the lock file as incomplete.
 * Entries whose platform does not fit are never fetched, so name, version and
 * platform are all they need. Run after every change of dependencies.
 */
import { readFileSync, writeFileSync } from 'node:fs';

interface LockedPackage {
  version?: string;
  dev?: boolean;
  optional?: boolean;
  os?: string[];
  cpu?: string[];
  libc?: string[];
  optionalDependencies?: Record<string, string>;
}

const FILE = 'package-lock.json';
const SYSTEMS = ['android', 'darwin', 'freebsd', 'linux', 'netbsd', 'openbsd', 'openharmony', 'sunos', 'win32', 'aix'];
const PROCESSORS = ['arm64', 'arm', 'x64', 'ia32', 'riscv64', 'ppc64', 's390x', 'loong64', 'mips64el', 'wasm32'];

/** Platform of a binary package by the words of its name; undefined when the name says none. */
function platformOf(name: string): Pick<LockedPackage, 'os' | 'cpu' | 'libc'> | undefined {
  const words = name.split(/[-/_]/);
  const os = SYSTEMS.find((system) => words.includes(system));
  const cpu =
    PROCESSORS.find((processor) => words.includes(processor)) ?? (words.includes('universal') ? 'any' : undefined);
  if (words.includes('wasm32') || words.includes('wasi')) return { cpu: ['wasm32'] };
  if (!os) return undefined;
  const libc = words.some((word) => word.startsWith('musl'))
    ? 'musl'
    : words.some((word) => word === 'gnu')
      ? 'glibc'
      : undefined;
  return {
    os: [os],
    ...(cpu && cpu !== 'any' ? { cpu: [cpu] } : {}),
    ...(libc ? { libc: [libc] } : {}),
  };
}

const lock = JSON.parse(readFileSync(FILE, 'utf8')) as { packages: Record<string, LockedPackage> };
const added: string[] = [];
for (const locked of Object.values({ ...lock.packages })) {
  for (const [name, range] of Object.entries(locked.optionalDependencies ?? {})) {
    const place = `node_modules/${name}`;
    if (lock.packages[place]) continue;
    const platform = platformOf(name);
    if (!platform) throw new Error(`${name} is missing from the lock file and its name says no platform`);
    const version = range.replace(/^[^0-9]*/, '');
    lock.packages[place] = { version, ...platform, ...(locked.dev ? { dev: true } : {}), optional: true };
    added.push(`${name}@${version}`);
  }
}
lock.packages = Object.fromEntries(Object.entries(lock.packages).sort(([a], [b]) => (a < b ? -1 : a > b ? 1 : 0)));
writeFileSync(FILE, `${JSON.stringify(lock, null, 2)}\n`);
process.stdout.write(`${added.length} packages of other platforms added\n`);
