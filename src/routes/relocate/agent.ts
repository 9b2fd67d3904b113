/** The agent: opens what it works with, and does one of its jobs. */
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { closeRoots, type Mapping, openRoots } from '../../adapters/linux-files/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { acquireLock, type RunLock } from '../../state/index.ts';
import type { AgentHooks, AgentOptions, AgentResult } from './api.ts';
import { isGuarding } from './guard.ts';
import { followLive } from './live.ts';
import { openMove } from './move-file.ts';
import { Mover } from './mover.ts';
import { copyFrozen, copyOnce, verifyOnce } from './once.ts';
import { checkFreeze, freezeFiles, thawLeft } from './still-files.ts';
import { mustBeAdaptable } from './whole-system.ts';

const LOCK_EVERY_MS = 50;

export async function agent(options: AgentOptions, hooks: AgentHooks): Promise<AgentResult> {
  mustBeAdaptable(options.mappings);
  return withMover(options, hooks, 'agent', (mover) => {
    if (options.dryRun) return mover.count();
    if (!options.once) return followLive(mover, options, hooks);
    if (options.services.freezeFiles === undefined) return copyOnce(mover, options.rounds);
    checkFreeze(options);
    return copyFrozen(mover, () => freezeFiles(options));
  });
}

/** Reads everything on both sides and compares; sends nothing. */
export function verify(options: AgentOptions, hooks: AgentHooks): Promise<AgentResult> {
  return withMover(options, hooks, 'verify', verifyOnce);
}

async function withMover(
  options: AgentOptions,
  hooks: AgentHooks,
  command: 'agent' | 'verify',
  work: (mover: Mover) => Promise<AgentResult>,
): Promise<AgentResult> {
  mustBeApart(options.mappings);
  const roots = openRoots(options.mappings);
  try {
    const move = openMove(options.state, options.mappings);
    using _lock = await lockState(options.state, hooks.signal);
    thawLeft(options.state);
    const mover = new Mover(options, hooks, roots, move, command);
    try {
      return await work(mover);
    } finally {
      await mover.close();
    }
  } finally {
    closeRoots(roots);
  }
}

/** A guard that lets the services of a killed agent go on gives the lock back when they do. */
async function lockState(state: string, signal: AbortSignal): Promise<RunLock> {
  for (;;) {
    try {
      return acquireLock({ lock: join(state, 'lock.db'), lockOwner: join(state, 'owner.pid') }, state);
    } catch (error) {
      if (!(error instanceof GodwitError) || error.code !== 'GW7001' || !isGuarding(state)) throw error;
    }
    await sleep(LOCK_EVERY_MS, undefined, { signal });
  }
}

/** What one mapping writes another one must not take away. */
function mustBeApart(mappings: readonly Mapping[]): void {
  const inside = (path: string) => `${path.replace(/\/+$/, '')}/`;
  for (const [at, { target }] of mappings.entries()) {
    const other = mappings.find((each, index) => index !== at && inside(each.target).startsWith(inside(target)));
    if (other !== undefined)
      throw new GodwitError(
        'GW1001',
        `--map: ${other.target} lies within ${target} on the target; map one of them elsewhere`,
      );
  }
}
