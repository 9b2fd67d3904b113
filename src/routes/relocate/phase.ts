/**
 * The phases of a live move and the only moves between them. Each is on the disk
 * before anything is done in it, so that an agent that is started again knows who
 * may have the services: it goes on, or goes back.
 */
import { leadsTo } from '../../kernel/phase.ts';

export const NEXT = {
  /** The first copy. */
  copying: ['following'],
  /** Rounds send what changed. */
  following: ['stopping'],
  /** The source's services are being stopped. */
  stopping: ['draining', 'resuming'],
  /** The last changes are sent and both sides proved equal. Nobody has the services. */
  draining: ['starting', 'resuming'],
  /** The target's services are being started: from here on it may have them. */
  starting: ['running', 'going-back'],
  /** The target has the services; the source's stand still, and nothing of them was deleted. */
  running: ['committing', 'going-back'],
  /** The target's services are being stopped. */
  'going-back': ['resuming'],
  /** The source's services are made to go on. */
  resuming: ['following'],
  /** What of the source's services stood still is being ended. */
  committing: ['committed'],
  committed: [],
} as const satisfies Record<string, readonly string[]>;

export type MovePhase = keyof typeof NEXT;

/** Who may have the services in a phase: never both. */
export const HOLDS: Readonly<Record<MovePhase, 'source' | 'nobody' | 'target'>> = {
  copying: 'source',
  following: 'source',
  stopping: 'source',
  draining: 'nobody',
  starting: 'target',
  running: 'target',
  'going-back': 'target',
  resuming: 'source',
  committing: 'target',
  committed: 'target',
};

/** What an agent that is started again in a phase does: it goes on in it, or goes back to the source. */
export const AFTER_KILL: Readonly<Record<MovePhase, 'goes on' | 'goes back'>> = {
  copying: 'goes on',
  following: 'goes on',
  stopping: 'goes back',
  draining: 'goes back',
  starting: 'goes on',
  running: 'goes on',
  'going-back': 'goes on',
  resuming: 'goes on',
  committing: 'goes on',
  committed: 'goes on',
};

export function mayMove(from: MovePhase, to: MovePhase): boolean {
  return leadsTo<MovePhase>(NEXT, from, to);
}
