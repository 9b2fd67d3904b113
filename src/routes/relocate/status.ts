import type { MoveStatus, Round } from './api.ts';
import type { PhaseFile } from './move-phase.ts';
import { HOLDS } from './phase.ts';

/** What only the agent that runs can say. */
interface Running {
  readonly roundCount: number;
  readonly lastRound: Round | undefined;
  /** By `performance.now`. */
  readonly roundAt: number;
  readonly lookedAt: string | undefined;
}

export function statusOf(file: PhaseFile, running?: Running): MoveStatus {
  const { name, target, phase, since, turn, undone, gapMs, certificate } = file;
  const { roundCount = 0, lastRound, roundAt, lookedAt } = running ?? {};
  return {
    version: 1,
    name,
    phase,
    holds: HOLDS[phase],
    since,
    isRunning: running !== undefined,
    target,
    roundCount,
    ...(lastRound === undefined ? {} : { lastRound }),
    ...(lastRound === undefined || roundAt === undefined || HOLDS[phase] === 'target'
      ? {}
      : { lagSeconds: (performance.now() - roundAt) / 1000 }),
    ...(lookedAt === undefined ? {} : { lookedAt }),
    turn,
    ...(undone === undefined ? {} : { undone }),
    ...(gapMs === undefined ? {} : { gapMs }),
    ...(certificate === undefined ? {} : { certificate }),
  };
}
