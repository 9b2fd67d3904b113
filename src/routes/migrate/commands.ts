import { GodwitError } from '../../kernel/errors.ts';
import { NEXT, type Phase } from '../../kernel/phase.ts';
import type { Drift } from '../../kernel/ports.ts';
import type { CommandArgs, CommandName } from './api.ts';
import { cleanUp, confirm } from './closing.ts';
import { cutOver } from './cutover.ts';
import { rollBack } from './going-back.ts';
import { prove, repair } from './proving.ts';
import type { RunContext } from './run-context.ts';
import { sidesOf } from './sides.ts';

/** What a command did. */
export interface CommandAnswer {
  readonly message: string;
  readonly already: boolean;
  readonly drift?: readonly Drift[];
  readonly stallMs?: number;
}

/** In which phases a command has something to do, and in which it holds already. */
const FITS: Record<CommandName, { readonly from: readonly Phase[]; readonly already: readonly Phase[] }> = {
  pause: { from: ['created', 'copying', 'following', 'verified'], already: [] },
  resume: { from: ['created', 'copying', 'following', 'verified'], already: ['switched'] },
  verify: { from: ['following', 'verified', 'switched'], already: [] },
  cutover: { from: ['following', 'verified'], already: ['switched', 'confirmed', 'cleaning', 'done'] },
  rollback: { from: ['switched', 'rolling-back'], already: ['rolled-back'] },
  confirm: { from: ['switched'], already: ['confirmed', 'cleaning', 'done'] },
  cleanup: { from: ['confirmed', 'cleaning'], already: ['done'] },
  cancel: { from: ['created', 'copying', 'following', 'verified', 'rolled-back'], already: ['cancelled'] },
};

/** Whether a command has something to do in a phase. */
export function fitsPhase(name: CommandName, phase: Phase): boolean {
  return FITS[name]?.from.includes(phase) ?? false;
}

/** Carries a command out. Throws GW1004 when it does not fit the phase. */
export async function perform(run: RunContext, name: CommandName, args: CommandArgs): Promise<CommandAnswer> {
  run.options = { ...run.options, ...args.overrides };
  const { phase } = run.store;
  const fits = FITS[name];
  if (fits.already.includes(phase)) return { message: `Nothing to do: the run is ${phase}`, already: true };
  if (!fits.from.includes(phase)) {
    const possible = (Object.keys(FITS) as CommandName[]).filter((command) => FITS[command].from.includes(phase));
    throw new GodwitError(
      'GW1004',
      `${name} is not possible while the run is ${phase}; possible now: ${possible.join(', ') || 'nothing'}`,
      {
        details: { phase, possible, next: [...NEXT[phase]] },
      },
    );
  }
  switch (name) {
    case 'pause':
      return pause(run);
    case 'resume':
      return resume(run);
    case 'verify':
      return verify(run, args);
    case 'cutover': {
      const { stallMs } = await cutOver(run);
      return { message: `Switched to the target; the business stood still for ${stallMs} ms`, already: false, stallMs };
    }
    case 'rollback':
      await rollBack(run);
      return { message: 'The source is in use again, with everything that was written at the target', already: false };
    case 'confirm':
      await confirm(run);
      return { message: "Confirmed; the way back is closed and the source's data may be deleted", already: false };
    case 'cleanup':
      await cleanUp(run, args.yesDelete);
      return { message: "The business's data at the source was deleted", already: false };
    case 'cancel':
      await run.link?.stop();
      run.link = undefined;
      run.store.enter('cancelled', 'cancelled');
      return { message: 'Cancelled; the source is untouched, what was copied is left at the target', already: false };
  }
}

function pause(run: RunContext): CommandAnswer {
  if (run.store.flag('paused')) return { message: 'Paused already', already: true };
  run.store.setFlag('paused', 'asked for by the pause command');
  return { message: "Paused; the source's log is still spooled", already: false };
}

function resume(run: RunContext): CommandAnswer {
  if (!run.store.flag('paused')) return { message: 'Not paused', already: true };
  run.store.setFlag('paused', undefined);
  return { message: 'Resumed', already: false };
}

async function verify(run: RunContext, args: CommandArgs): Promise<CommandAnswer> {
  if (!run.link) throw new GodwitError('GW9001', 'A verification without a flow of changes');
  const { direction } = run.link.generation;
  const sides = sidesOf(run, direction);
  let drift = await prove(run, run.link, sides);
  if (drift.length > 0 && args.repair) drift = await repair(run, run.link, sides, drift);
  if (drift.length === 0) {
    if (run.store.phase === 'following') run.store.enter('verified', 'verified');
    return { message: 'Equal: every document, index and option is the same on both sides', already: false };
  }
  if (run.store.phase === 'verified') run.store.enter('following', 'drift-found');
  return {
    message: `${drift.length} ${drift.length === 1 ? 'difference' : 'differences'} between source and target`,
    already: false,
    drift,
  };
}
