/**
 * The guard of an agent that has stopped services: when the agent is gone, however it ended, the services go on, unless the
 * target may run them by then. What decides is what the agent wrote down before it did anything, and its lock, which ends
 * with it: an agent that is started again has either the lock, and does it itself, or waits until the guard has done it.
 */
import { readFileSync, rmSync } from 'node:fs';
import { join } from 'node:path';
import { GodwitError } from '../../kernel/errors.ts';
import { acquireLock, readDurable, writeDurably } from '../../state/index.ts';
import type { GuardOrder } from './api.ts';
import { goOn } from './cutover.ts';
import { PhaseStore, readPhase } from './move-phase.ts';
import { SourceServices } from './source-services.ts';
import { thawLeft } from './still-files.ts';

const FILE = 'guard.json';
/** Said on its input: nothing is stopped any more. */
export const OVER = 'over';
const WHY = 'the agent was ended in the middle of it';

/** Its input: the order, as JSON, then `over`; its end without that word is the end of the agent. */
export async function guard(lines: AsyncIterable<string>, onReady: () => void): Promise<void> {
  let order: GuardOrder | undefined;
  for await (const line of lines) {
    if (line === OVER) return;
    order = JSON.parse(line) as GuardOrder;
    onReady();
  }
  if (order !== undefined) await letGoOn(order);
}

async function letGoOn({ state, name, target, services }: GuardOrder): Promise<void> {
  const file = join(state, FILE);
  writeDurably(file, { pid: process.pid });
  try {
    using _lock = acquireLock({ lock: join(state, 'lock.db'), lockOwner: join(state, 'owner.pid') }, state);
    // Its own watchdog may be gone, too.
    thawLeft(state);
    const phase = readPhase(state)?.phase;
    // From `starting` on the target may run, and in any other phase nothing is stopped.
    if (phase !== 'stopping' && phase !== 'draining' && phase !== 'resuming') return;
    const phases = new PhaseStore(state, { name, target }, () => {});
    await goOn({ phases, services: new SourceServices(services, state) }, WHY);
  } catch (error) {
    // The next agent was faster, and does it.
    if (!(error instanceof GodwitError) || error.code !== 'GW7001') throw error;
  } finally {
    rmSync(file, { force: true });
  }
}

/** Whether a guard is at work, which gives the lock back when it is done. */
export function isGuarding(state: string): boolean {
  const pid = readDurable<{ readonly pid: number }>(join(state, FILE))?.pid;
  try {
    // Its number may be another process's by now.
    return readFileSync(`/proc/${pid}/cmdline`, 'latin1').endsWith('relocate\0guard\0');
  } catch {
    return false;
  }
}
