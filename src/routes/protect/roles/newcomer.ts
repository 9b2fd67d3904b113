/** Machines with new disks in the place of others. */
import { randomInt } from 'node:crypto';
import type { ProtectHooks } from '../api.ts';
import { tell } from './events.ts';

/** So many that no two are the same. */
const MOST_MACHINES = 2 ** 47;
const LOOK_EVERY_MS = 250;

/** A number for a machine that stands in for another one. */
export function machineNumber(): number {
  return randomInt(MOST_MACHINES);
}

/** Tells that it lacks something, and when it does not any more. */
export function tellWhenComplete(role: { readonly isIncomplete: boolean }, hooks: ProtectHooks): void {
  if (!role.isIncomplete) return;
  tell(hooks, 'incomplete');
  const timer = setInterval(() => {
    if (hooks.signal.aborted) clearInterval(timer);
    if (hooks.signal.aborted || role.isIncomplete) return;
    clearInterval(timer);
    tell(hooks, 'complete');
  }, LOOK_EVERY_MS);
  timer.unref();
}
