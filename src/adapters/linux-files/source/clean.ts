/**
 * When every page was clean. A store into a mapped page changes the ctime only
 * while the page is clean, and two writes within one tick of the clock share their
 * ctime. So only of a file whose ctime lies clearly before that moment does an
 * equal signature later prove that nothing changed.
 */
import { syncFileSystem } from '../libc/file-system.ts';
import { openForReading, withFd } from '../libc/open.ts';
import { type Stat, statFd } from '../libc/stat.ts';
import type { Step } from './walk.ts';

/** More than a tick of any clock that stamps files, and than what the two clocks here may seem to drift apart. */
const MARGIN_MS = 50;
const STEP_MS = 20;
/** A ctime this far ahead was made before the clock was set back. */
const AHEAD_MS = 1_000;
/** What a round must wait for after the last change, so that it finds everything settled. */
export const SETTLE_MS = MARGIN_MS + STEP_MS;

export class Clean {
  /** By device, by the wall clock. */
  readonly #atMs = new Map<string, number>();
  #offsetMs = offset();

  /** Whether the pages of this device were made clean in this pass. */
  has(device: string): boolean {
    return this.#atMs.has(device);
  }

  /** Makes every page of the file system of `fd` clean. */
  make(fd: number, device: string): void {
    const atMs = Date.now();
    syncFileSystem(fd);
    this.mark(device, atMs);
  }

  /** They were made clean after `atMs`. */
  mark(device: string, atMs: number): void {
    this.#atMs.set(device, atMs);
  }

  /** Whether what was read now is known by its signature from now on. */
  isSettled({ device, ctimeSec, ctimeNsec }: Stat): boolean {
    const offsetMs = offset();
    if (Math.abs(offsetMs - this.#offsetMs) > STEP_MS) {
      // The clock was set meanwhile: no ctime can be compared with a moment before. Everything is made clean anew.
      this.#offsetMs = offsetMs;
      this.#atMs.clear();
      return false;
    }
    const atMs = this.#atMs.get(device);
    if (atMs === undefined) return false;
    const ctimeMs = ctimeSec * 1_000 + ctimeNsec / 1e6;
    return ctimeMs + MARGIN_MS < atMs || ctimeMs > Date.now() + AHEAD_MS;
  }
}

/** Before what stands under this name is read: its directory, unless it is a file that was mounted over a name. */
export function makeClean(clean: Clean, { dirFd, name, stat }: Step & { kind: 'entry' }): void {
  if (statFd(dirFd).device === stat.device) clean.make(dirFd, stat.device);
  else if (stat.kind === 'file') withFd(openForReading(dirFd, name), (fd) => clean.make(fd, stat.device));
  else clean.mark(stat.device, Date.now());
}

/**
 * Between the wall clock, which may be set, and the one that only runs. Read in one
 * go: a process that had to wait between the two would believe that the clock was set.
 */
function offset(): number {
  for (;;) {
    const before = performance.now();
    const wall = Date.now();
    if (performance.now() - before < STEP_MS / 4) return wall - before;
  }
}
