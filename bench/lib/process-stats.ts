/** What Linux tells of a process in /proc. Everything is undefined where there is none. */
import { readFileSync } from 'node:fs';

/** Linux counts CPU time in hundredths of a second, whatever its own clock (USER_HZ). */
const TICKS_PER_SECOND = 100;

function read(path: string): string | undefined {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return undefined; // it has ended
  }
}

/** CPU seconds from the text of `/proc/PID/stat`: its own, and of children that it has waited for. */
export function cpuFromStat(stat: string): { own: number; children: number } {
  // The name in brackets may hold anything; what follows it are numbers, from field 3 on.
  const fields = stat.slice(stat.lastIndexOf(')') + 2).split(' ');
  const field = (number: number): number => Number(fields[number - 3] ?? 0) / TICKS_PER_SECOND;
  return { own: field(14) + field(15), children: field(16) + field(17) };
}

/** CPU seconds of a process so far, with children it has waited for. */
export function cpuSecondsOf(pid: number): number | undefined {
  const stat = read(`/proc/${pid}/stat`);
  if (stat === undefined) return undefined;
  const { own, children } = cpuFromStat(stat);
  return own + children;
}

/** The most memory a process ever held, in bytes. */
export function peakRssOf(pid: number): number | undefined {
  const match = /^VmHWM:\s*(\d+) kB/m.exec(read(`/proc/${pid}/status`) ?? '');
  return match ? Number(match[1]) * 1024 : undefined;
}

/** A process and all that it started, as far as they run. */
export function treeOf(pid: number): number[] {
  const children = (read(`/proc/${pid}/task/${pid}/children`) ?? '').split(' ').filter((text) => text !== '');
  return [pid, ...children.flatMap((child) => treeOf(Number(child)))];
}
