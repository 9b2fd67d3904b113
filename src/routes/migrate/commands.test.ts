import { expect, test } from 'vitest';
import { GodwitError } from '../../kernel/errors.ts';
import { isFinal, NEXT, type Phase } from '../../kernel/phase.ts';
import type { CommandName } from './api.ts';
import { perform } from './commands.ts';
import type { RunContext } from './run-context.ts';

const PHASES = Object.keys(NEXT) as Phase[];
const COMMANDS: readonly CommandName[] = [
  'pause',
  'resume',
  'verify',
  'cutover',
  'rollback',
  'confirm',
  'cleanup',
  'cancel',
];

/** Says yes to nothing: every command ends at its first step, by an error that shows it was let in. */
function contextIn(phase: Phase): RunContext {
  const letIn = () => {
    throw new Error('let in');
  };
  const store = { phase, run: 'r1', flag: letIn, setFlag: letIn, enter: letIn, get: letIn };
  return { store, plan: { include: [], from: '' }, link: undefined } as unknown as RunContext;
}

type Outcome = 'fits' | 'already' | 'refused';

async function outcome(phase: Phase, name: CommandName): Promise<{ outcome: Outcome; possible: readonly string[] }> {
  try {
    const { already } = await perform(contextIn(phase), name, {});
    return { outcome: already ? 'already' : 'fits', possible: [] };
  } catch (error) {
    const refused = error instanceof GodwitError && error.code === 'GW1004';
    return { outcome: refused ? 'refused' : 'fits', possible: refused ? (error.details['possible'] as string[]) : [] };
  }
}

const fitting = async (name: CommandName, wanted: Outcome) => {
  const phases: Phase[] = [];
  for (const phase of PHASES) if ((await outcome(phase, name)).outcome === wanted) phases.push(phase);
  return phases.sort();
};

test('a command that would move the run is let in only where the table of phases has the move', async () => {
  const moves: Partial<Record<CommandName, Phase>> = {
    cutover: 'fencing',
    rollback: 'rolling-back',
    confirm: 'confirmed',
    cleanup: 'cleaning',
    cancel: 'cancelled',
  };
  for (const [name, to] of Object.entries(moves) as [CommandName, Phase][]) {
    const may = PHASES.filter((phase) => (NEXT[phase] as readonly Phase[]).includes(to));
    const goesOn = to === 'rolling-back' || to === 'cleaning' ? [to] : [];
    expect(await fitting(name, 'fits'), name).toEqual([...may, ...goesOn].sort());
  }
});

test('what holds already is said and not refused: everywhere past the move', async () => {
  expect(await fitting('confirm', 'already')).toEqual(['cleaning', 'confirmed', 'done']);
  expect(await fitting('cleanup', 'already')).toEqual(['done']);
  expect(await fitting('cancel', 'already')).toEqual(['cancelled']);
  expect(await fitting('rollback', 'already')).toEqual(['rolled-back']);
  expect(await fitting('cutover', 'already')).toEqual(['cleaning', 'confirmed', 'done', 'switched']);
});

test('nothing is possible at an end, nor can a cutover be meddled with', async () => {
  for (const phase of PHASES.filter(
    (one) => isFinal(one) || ['fencing', 'draining', 'switching', 'unfencing'].includes(one),
  )) {
    for (const name of COMMANDS) expect((await outcome(phase, name)).outcome, `${name} in ${phase}`).not.toBe('fits');
  }
});

test('a refusal names exactly the commands that would be let in', async () => {
  for (const phase of PHASES) {
    const fits: string[] = [];
    for (const name of COMMANDS) if ((await outcome(phase, name)).outcome === 'fits') fits.push(name);
    for (const name of COMMANDS) {
      const { outcome: what, possible } = await outcome(phase, name);
      if (what === 'refused') expect([...possible].sort(), `${name} in ${phase}`).toEqual([...fits].sort());
    }
  }
});

test('cleanup wants to be told the name of what it deletes', async () => {
  await expect(perform(contextIn('confirmed'), 'cleanup', {})).rejects.toMatchObject({ code: 'GW1005' });
  await expect(perform(contextIn('confirmed'), 'cleanup', { yesDelete: 'other' })).rejects.toMatchObject({
    code: 'GW1005',
  });
});
