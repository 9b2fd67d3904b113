/** Which file systems hold the files of some directories, by where they are mounted. */
import { readFileSync, realpathSync } from 'node:fs';
import { fromText } from '../libc/bytes.ts';
import { whyLeft } from '../libc/file-system.ts';
import { errnoOf } from '../libc/native.ts';
import { openNamedDirectory, withFd } from '../libc/open.ts';
import { statFd } from '../libc/stat.ts';

/** Mount points, one for each file system whose files are carried: that of each directory, and those below it. */
export function mountsOf(directories: readonly string[]): readonly string[] {
  const mounts = readFileSync('/proc/self/mountinfo', 'utf8').split('\n').filter(Boolean).map(mountPoint);
  const wanted = directories.flatMap((directory) => {
    const path = realpathSync(directory);
    const at = mounts.filter((mount) => isIn(path, mount)).sort((a, b) => b.length - a.length)[0];
    return [...(at === undefined ? [] : [at]), ...mounts.filter((mount) => isIn(mount, path))];
  });
  const devices = new Set<string>();
  return wanted.filter((mount) => {
    const device = carriedDevice(mount);
    if (device === undefined || devices.has(device)) return false;
    devices.add(device);
    return true;
  });
}

/** The device of what is mounted there, when its files are carried. */
function carriedDevice(mount: string): string | undefined {
  try {
    return withFd(openNamedDirectory(fromText(mount)), (fd) =>
      whyLeft(fd) === undefined ? statFd(fd).device : undefined,
    );
  } catch (error) {
    // A file that something is mounted over, or a place that is gone.
    if (errnoOf(error) === undefined) throw error;
    return undefined;
  }
}

/** Blanks and the like stand as octal numbers there. */
function mountPoint(line: string): string {
  const escaped = line.split(' ')[4] ?? '/';
  return escaped.replace(/\\(\d{3})/g, (_, octal: string) => String.fromCharCode(Number.parseInt(octal, 8)));
}

function isIn(path: string, directory: string): boolean {
  return path === directory || path.startsWith(`${directory.replace(/\/$/, '')}/`);
}
