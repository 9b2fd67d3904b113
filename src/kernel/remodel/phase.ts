import { leadsTo } from '../phase.ts';

/**
 * The life of a remodel. The phase is durable in the database that holds the
 * tables, where every process of the application sees it. Each move has a gate
 * and an audit row; each but the last has a way back.
 */
export const NEXT_REMODEL = {
  /** Nothing exists but the definition. */
  draft: ['created'],
  /** New tables, control tables and guard are there; nobody writes to the new ones. */
  created: ['dual', 'draft'],
  /** Identities in the ramp are written new first, old later. */
  dual: ['sealed', 'created'],
  /** The ramp is at 100 % and every process knows it. */
  sealed: ['backfilling', 'dual'],
  /** Identities that nobody writes to are adopted by the offline job. */
  backfilling: ['verified', 'dual'],
  /** Two proofs in a row, the second by value: both models hold the same. */
  verified: ['reads', 'dual'],
  /** Reads move, compared in the shadow first. */
  reads: ['new-only', 'verified'],
  /** The old table is not written any more; what it misses is remembered. */
  'new-only': ['trapped', 'reads'],
  /** Whoever still reads the old table is recorded, or refused. */
  trapped: ['retired', 'new-only'],
  /** The old table was archived and dropped. */
  retired: [],
} as const satisfies Record<string, readonly string[]>;

export type RemodelPhase = keyof typeof NEXT_REMODEL;

/** Whether a remodel may go from one phase straight to the other. */
export function mayMoveRemodel(from: RemodelPhase, to: RemodelPhase): boolean {
  return leadsTo<RemodelPhase>(NEXT_REMODEL, from, to);
}

/** Whether writes of adopted identities are carried to the old table in this phase. */
export function writesOld(phase: RemodelPhase): boolean {
  return !(['draft', 'created', 'new-only', 'trapped', 'retired'] as readonly string[]).includes(phase);
}
