/** The `migrate` route: one business's data from one cluster to another, while it lives. */

import { systemClock } from '../../kernel/clock.ts';
import { GodwitError } from '../../kernel/errors.ts';
import { RunStore, runLockHolder } from '../../state/index.ts';
import type { CommandArgs, CommandName, CommandResult, MigrateOptions } from './api.ts';
import type { RunnerHooks } from './open-run.ts';
import type { RunAddress } from './options.ts';
import { Runner } from './runner.ts';
import { unfreeze } from './unfreeze.ts';

export { exportMedium } from './medium/export.ts';
export { importMedium } from './medium/import.ts';
export { check } from './preflight.ts';
export { spool } from './spooling.ts';
export { runs, status } from './status.ts';

const POLL_MS = 100;

/** Runs a migration, from the start or from where its state says, until it is done, `--until`, or the signal. */
export async function run(options: MigrateOptions, hooks: RunnerHooks): Promise<CommandResult> {
  let lostLog: GodwitError | undefined;
  for (;;) {
    const runner: Runner = await Runner.open(options, hooks, true);
    try {
      return await runner.go(lostLog);
    } catch (error) {
      if (!runner.mayResync(error)) throw error;
      // Lost again before it could be followed, it would be lost for ever.
      if (lostLog && RESYNCING.has(runner.status().phase)) throw error;
      lostLog = error;
    } finally {
      // Nothing that the runner began may go on beside the next one.
      await runner.close();
    }
  }
}

const RESYNCING: ReadonlySet<string> = new Set(['resyncing', 'resyncing-back']);

/**
 * Carries a command out: through the process that runs the run when there is
 * one, or else right here, for which the connection strings are needed.
 */
export async function command(
  name: CommandName,
  options: MigrateOptions | RunAddress,
  args: CommandArgs,
  hooks: RunnerHooks,
): Promise<CommandResult> {
  if (isRunning(options.state, options.run)) return ask(name, options, args, hooks.signal);
  // The target has no part in it.
  const { from } = options;
  if (name === 'unfreeze' && from !== undefined) return unfreeze({ ...options, from }, hooks.signal);
  if (!('to' in options)) {
    throw new GodwitError(
      'GW1001',
      `No process runs ${options.run} now, so ${name} needs --from${name === 'unfreeze' ? '' : ' and --to'}`,
      {
        details: { run: options.run },
      },
    );
  }
  const runner = await Runner.open(options, hooks, false);
  try {
    return await runner.once(name, args);
  } finally {
    await runner.close();
  }
}

/** Whether some process runs this run now. */
function isRunning(stateDir: string, run: string): boolean {
  return runLockHolder(stateDir, run) !== undefined;
}

async function ask(
  name: CommandName,
  options: { state: string; run: string },
  args: CommandArgs,
  signal: AbortSignal,
): Promise<CommandResult> {
  const store = RunStore.open(options.state, options.run);
  try {
    const id = store.request(name, args);
    for (;;) {
      const answer = store.answerOf(id);
      if (answer?.ok) return answer.result as CommandResult;
      if (answer) {
        const error = answer.error as { code: GodwitError['code']; message: string; details?: GodwitError['details'] };
        throw new GodwitError(error.code, error.message, { details: error.details });
      }
      if (signal.aborted)
        throw new GodwitError('GW8001', `Stopped waiting for ${name}; the running process goes on with it`);
      if (!isRunning(options.state, options.run)) {
        throw new GodwitError('GW3001', `The process that ran ${options.run} ended before it answered`, {
          details: { run: options.run },
        });
      }
      await systemClock.sleep(POLL_MS, signal);
    }
  } finally {
    store.close();
  }
}
