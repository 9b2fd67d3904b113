/**
 * Files that were deleted and are still open: they have no name, so no copy comes
 * by them, and whoever has them open loses them when he is stopped.
 */
import { readdirSync, readlinkSync } from 'node:fs';
import { type BytePath, fromText } from '../libc/bytes.ts';
import { type Stat, statThrough } from '../libc/stat.ts';
import type { OnRemark } from './remark.ts';

const DELETED = ' (deleted)';

/** Devices that a walk came to, and whether all of the device lies below its root. */
export type Devices = Map<string, boolean>;

/** What a walk says of the directories it enters. */
export function noteDevice(devices: Devices, { device, isMountRoot }: Stat): void {
  if (isMountRoot || !devices.has(device)) devices.set(device, isMountRoot);
}

/**
 * Tells of those below these directories: by the device where all of it is below,
 * else by the name that they had. Processes that may not be looked at are passed over.
 */
export function tellDeleted(sources: readonly BytePath[], devices: Devices, onRemark: OnRemark): void {
  const told = new Set<string>();
  for (const pid of list('/proc')) {
    if (!/^\d+$/.test(pid)) continue;
    for (const kind of ['fd', 'map_files']) {
      for (const name of list(`/proc/${pid}/${kind}`)) {
        const link = `/proc/${pid}/${kind}/${name}`;
        const path = deletedPath(link);
        if (path === undefined) continue;
        const stat = statOf(link);
        if (stat === undefined || stat.kind !== 'file' || stat.nlink > 0) continue;
        if (told.has(stat.identity)) continue;
        const isWhole = devices.get(stat.device);
        if (isWhole === undefined || (!isWhole && !sources.some((source) => isIn(path, source)))) continue;
        told.add(stat.identity);
        onRemark({ why: 'deleted', path, detail: `${stat.size} bytes, open in process ${pid}` });
      }
    }
  }
}

/** What a link of a process says that it leads to, when that has no name any more. */
function deletedPath(link: string): BytePath | undefined {
  try {
    const path = readlinkSync(link);
    return path.startsWith('/') && path.endsWith(DELETED) ? fromText(path.slice(0, -DELETED.length)) : undefined;
  } catch {
    // Closed, or ended.
    return undefined;
  }
}

function statOf(link: string): Stat | undefined {
  try {
    return statThrough(fromText(link));
  } catch {
    return undefined;
  }
}

function isIn(path: BytePath, source: BytePath): boolean {
  return path.startsWith(`${source.replace(/\/+$/, '')}/`);
}

function list(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}
