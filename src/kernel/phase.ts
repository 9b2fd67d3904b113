/**
 * The phases of a run and the only moves between them. Phases are durable:
 * each is a value that a fresh process can go on from. Pausing and throttling
 * are flags with a reason, not phases.
 */
export const NEXT = {
  /** Planned and checked; nothing has been touched. */
  created: ['copying', 'cancelled'],
  /** The snapshot is being read while the log is spooled. */
  copying: ['following', 'resyncing', 'cancelled'],
  /** The copy is complete; the log is applied as it comes. */
  following: ['verified', 'fencing', 'resyncing', 'cancelled'],
  /** A proof of equality holds; the log is still applied. */
  verified: ['following', 'fencing', 'resyncing', 'cancelled'],
  /** The log since the last checkpoint is lost: both sides are compared and what differs is copied again. */
  resyncing: ['following', 'cancelled'],
  /** The old side is being made to refuse writes. */
  fencing: ['draining', 'unfencing'],
  /** The last changes are applied and proved. */
  draining: ['switching', 'unfencing'],
  /** The entry address is being moved. */
  switching: ['switched', 'unfencing'],
  /** A cutover is being undone before its switch: the source serves again. */
  unfencing: ['following'],
  /** Applications use the target; changes flow back to the source. */
  switched: ['confirmed', 'rolling-back', 'resyncing-back'],
  /** The log of the flow back is lost: the same, from target to source. */
  'resyncing-back': ['switched'],
  /** The target's changes are drained to the source and the entry goes back. */
  'rolling-back': ['rolled-back', 'switched'],
  /** Applications use the source again; the target is out of date until followed. */
  'rolled-back': ['following', 'cancelled'],
  /** The way back is closed; the source's data may be deleted. */
  confirmed: ['cleaning'],
  /** The source's data is being deleted, by a written plan. */
  cleaning: ['done'],
  done: [],
  cancelled: [],
} as const satisfies Record<string, readonly string[]>;

export type Phase = keyof typeof NEXT;

/** Whether a table of moves leads from one phase straight to the other. */
export function leadsTo<P extends string>(next: Readonly<Record<P, readonly string[]>>, from: P, to: P): boolean {
  return next[from].includes(to);
}

/** Whether a run may go from one phase straight to the other. */
export function mayMove(from: Phase, to: Phase): boolean {
  return leadsTo<Phase>(NEXT, from, to);
}

/** Whether nothing is left to do in this phase. */
export function isFinal(phase: Phase): boolean {
  return NEXT[phase].length === 0;
}
