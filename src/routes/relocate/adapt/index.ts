import {
  AdaptationRecord,
  type Hardware,
  loadKernel,
  rootOf,
  startOf,
  thisMachine,
} from '../../../adapters/linux-boot/index.ts';
import { adapt } from './adapt.ts';
import type { LoadResult, UndoResult } from './api.ts';

export { adapt };

/** Puts back every file as it was before the first adaptation. */
export function undo(given: string): UndoResult {
  const root = rootOf(given);
  return { version: 1, command: 'adapt --undo', root, restored: new AdaptationRecord(root).undo() };
}

/** Hands the kernel that its menu starts first to the kernel that runs: `systemctl kexec` starts it then. */
export function load(given: string, isDryRun: boolean): LoadResult {
  const root = rootOf(given);
  const start = startOf(root);
  if (!isDryRun) loadKernel(start);
  return { version: 1, command: 'load', dryRun: isDryRun, root, ...start };
}

export function hardware(devices: readonly string[]): Promise<Hardware> {
  return thisMachine(devices);
}
