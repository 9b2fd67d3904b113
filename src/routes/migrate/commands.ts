import { GodwitError } from '../../kernel/errors.ts';
import { NEXT, type Phase } from '../../kernel/phase.ts';
import type { Drift } from '../../kernel/ports.ts';
import type { CommandArgs, CommandName, Evidence } from './api.ts';
import { cleanUp, confirm } from './closing.ts';
import { cutOver } from './cutover.ts';
import { detect } from './detecting.ts';
import { letGo } from './freezing.ts';
import { rollBack } from './going-back.ts';
import type { Link } from './link.ts';
import { prove, repair } from './proving.ts';
import { type DetectionRecord, KEY, type RunContext } from './run-context.ts';
import { type Sides, sidesOf } from './sides.ts';

/** What a command did. */
export interface CommandAnswer {
  readonly message: string;
  readonly already: boolean;
  readonly drift?: readonly Drift[];
  readonly late?: number;
  readonly evidence?: readonly Evidence[];
  readonly stallMs?: number;
}

/** Commands that depend on the phase; a member can be let go at any time. */
type PhaseCommand = Exclude<CommandName, 'unfreeze'>;

/** In which phases a command has something to do, and in which it holds already. */
const FITS: Record<PhaseCommand, { readonly from: readonly Phase[]; readonly already: readonly Phase[] }> = {
  pause: { from: ['created', 'copying', 'following', 'verified', 'resyncing', 'resyncing-back'], already: [] },
  resume: {
    from: ['created', 'copying', 'following', 'verified', 'resyncing', 'resyncing-back'],
    already: ['switched'],
  },
  verify: { from: ['following', 'verified', 'switched'], already: [] },
  cutover: { from: ['following', 'verified'], already: ['switched', 'confirmed', 'cleaning', 'done'] },
  rollback: { from: ['switched', 'rolling-back'], already: ['rolled-back'] },
  confirm: { from: ['switched'], already: ['confirmed', 'cleaning', 'done'] },
  cleanup: { from: ['confirmed', 'cleaning'], already: ['done'] },
  cancel: { from: ['created', 'copying', 'following', 'verified', 'resyncing', 'rolled-back'], already: ['cancelled'] },
};

/** Whether a command has something to do in a phase. */
export function fitsPhase(name: CommandName, phase: Phase): boolean {
  return name === 'unfreeze' || (FITS[name]?.from.includes(phase) ?? false);
}

/** Carries a command out. Throws GW1004 when it does not fit the phase. */
export async function perform(run: RunContext, name: CommandName, args: CommandArgs): Promise<CommandAnswer> {
  run.options = { ...run.options, ...args.overrides };
  if (name === 'unfreeze') return unfreeze(run);
  const { phase } = run.store;
  const fits = FITS[name];
  if (fits.already.includes(phase)) return { message: `Nothing to do: the run is ${phase}`, already: true };
  if (!fits.from.includes(phase)) {
    const possible = (Object.keys(FITS) as PhaseCommand[]).filter((command) => FITS[command].from.includes(phase));
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
      await letGo(run, 'the run is paused', true);
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
      await letGo(run, 'the run is cancelled', true);
      run.store.enter('cancelled', 'cancelled');
      return { message: 'Cancelled; the source is untouched, what was copied is left at the target', already: false };
  }
}

async function unfreeze(run: RunContext): Promise<CommandAnswer> {
  const { frozen } = run;
  if (!frozen?.isHeld) return { message: 'No member is frozen', already: true };
  await letGo(run, 'asked for by the unfreeze command', true);
  return { message: `${frozen.address} goes on; the rest is copied from live members`, already: false };
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
  if (args.now) return compareNow(run, run.link, sides);
  let drift = await prove(run, run.link, sides);
  if (drift.length > 0 && args.repair) drift = await repair(run, run.link, sides, drift);
  if (drift.length === 0) {
    if (run.store.phase === 'following') run.store.enter('verified', 'verified');
    return { message: 'Equal: every document, index and option is the same on both sides', already: false };
  }
  if (run.store.phase === 'verified') run.store.enter('following', 'drift-found');
  return {
    message: `${counted(drift.length, 'difference')} between source and target`,
    already: false,
    drift,
    evidence: run.store.get<DetectionRecord>(KEY.detection)?.sample ?? [],
  };
}

async function compareNow(run: RunContext, link: Link, sides: Sides): Promise<CommandAnswer> {
  const { record, wrong } = await detect(run, link, sides);
  const more = record.truncated ? 'at least ' : '';
  const late =
    record.late === 0
      ? 'nothing is late'
      : `${more}${counted(record.late, 'document')} late: the log has what they lack`;
  const message =
    wrong.length === 0
      ? `Nothing is wrong; ${late}. No proof: that is made when the log is applied`
      : `${more}${counted(wrong.length, 'document')} wrong: no change on its way explains the difference; ${late}`;
  return { message, already: false, drift: wrong, late: record.late, evidence: record.sample };
}

function counted(count: number, what: string): string {
  return `${count} ${what}${count === 1 ? '' : 's'}`;
}
