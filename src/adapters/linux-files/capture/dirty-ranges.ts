/** Which bytes of a file the pages that became dirty may stand for. */
import { libc } from '../libc/native.ts';
import type { Range } from '../wire/sums.ts';

const SC_PAGESIZE = 30;
let size: number | undefined;

/** Of the kernel's page cache. */
export function pageSize(): number {
  size ??= libc().sysconf(SC_PAGESIZE);
  return size;
}

/**
 * Where something may be other than it was, in order and apart. Of a folio of several pages the kernel names the
 * first: its number is a multiple of how many they are, and no folio is larger than what one table of pages maps.
 */
export function dirtyRanges(firstPages: ReadonlySet<number>, fileSize: number, page: number): readonly Range[] {
  const longest = page / 8;
  const ranges: { start: number; end: number }[] = [];
  for (const first of [...firstPages].sort((a, b) => a - b)) {
    let pages = longest;
    while (first % pages !== 0) pages /= 2;
    const start = first * page;
    const end = Math.min(fileSize, start + pages * page);
    if (start >= end) continue;
    const last = ranges.at(-1);
    if (last !== undefined && start <= last.end) last.end = Math.max(last.end, end);
    else ranges.push({ start, end });
  }
  return ranges;
}
