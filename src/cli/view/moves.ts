import type { Phase } from '../../kernel/phase.ts';
import type { MigrateStatus } from '../../routes/migrate/api.ts';

/** How far each of the six moves is, as people see a run. */
export interface Move {
  readonly name: string;
  readonly state: 'to do' | 'under way' | 'done';
}

const CUTTING: readonly Phase[] = ['fencing', 'draining', 'switching', 'unfencing'];
const SWITCHED: readonly Phase[] = ['switched', 'resyncing-back', 'rolling-back', 'confirmed', 'cleaning', 'done'];
const BACK: readonly Phase[] = ['rolling-back', 'rolled-back'];

export function movesOf(status: MigrateStatus): readonly Move[] {
  const { phase } = status;
  const copied = phase !== 'created' && phase !== 'copying' && phase !== 'cancelled';
  const over = SWITCHED.includes(phase) || phase === 'rolled-back';
  const follows = copied || phase === 'copying';
  const verified = over || phase === 'verified' || CUTTING.includes(phase);
  return [
    move('snapshot', phase === 'copying', copied),
    move('follow', follows, over),
    move('apply', copied || status.log.entriesApplied > 0, over),
    move('verify', status.verify.state === 'running', verified),
    move('cutover', CUTTING.includes(phase), SWITCHED.includes(phase)),
    BACK.includes(phase)
      ? move('rollback', phase === 'rolling-back', phase === 'rolled-back')
      : move('cleanup', phase === 'cleaning', phase === 'done'),
  ];
}

function move(name: string, underWay: boolean, done: boolean): Move {
  return { name, state: done ? 'done' : underWay ? 'under way' : 'to do' };
}

/** What a phase means, for somebody who sees it for the first time. */
export const PHASE_WORDS: Readonly<Record<Phase, string>> = {
  created: 'planned; nothing has been touched',
  copying: 'the log is kept meanwhile',
  following: 'changes are applied as they come',
  verified: 'proved equal; changes are still applied',
  resyncing: 'the log was lost; what differs is copied again',
  fencing: 'the source is being made to refuse writes',
  draining: 'the last changes are being applied',
  switching: 'the address is being switched',
  unfencing: 'the cutover is being undone; the source serves again',
  switched: 'applications use the target; rollback is possible',
  'resyncing-back': 'the log of the flow back was lost; what differs at the source is copied again',
  'rolling-back': 'going back to the source',
  'rolled-back': 'applications use the source again',
  confirmed: 'confirmed; the source may be cleaned up',
  cleaning: 'the source’s data is being deleted',
  done: 'done',
  cancelled: 'cancelled',
};
