import type { Alignment, Cluster, FrozenMember, ResyncFindings, Selection } from '../../adapters/mongodb/index.ts';
import type { Clock } from '../../kernel/clock.ts';
import type { GodwitError } from '../../kernel/errors.ts';
import type { Drift } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import type { RetryPolicy } from '../../kernel/retry.ts';
import type { Throttle } from '../../kernel/throttle.ts';
import type { RunStore } from '../../state/index.ts';
import type { Evidence, FenceKind, MigrateOptions } from './api.ts';
import type { Link } from './link.ts';
import type { Meter } from './meter.ts';
import type { RunPlan } from './plan.ts';
import type { Rounds } from './sync/rounds.ts';

/** What the phases of a running migration share. */
export interface RunContext {
  /** A command may say some of them anew. */
  options: MigrateOptions;
  readonly store: RunStore;
  readonly plan: RunPlan;
  readonly source: Cluster;
  readonly target: Cluster;
  /** Of namespaces at the source. */
  readonly selection: Selection;
  readonly clock: Clock;
  readonly meter: Meter;
  readonly throttle: Throttle;
  readonly signal: AbortSignal;
  readonly readFrom: 'primary' | 'secondary';
  /** Waits while the run is paused. */
  readonly gate: () => Promise<void>;
  readonly onFault: (error: GodwitError | undefined) => void;
  retry(signal?: AbortSignal): RetryPolicy;
  /** Why nothing is copied at the moment, in words. */
  waitingFor: string | undefined;
  /** The flow of changes that is under way, if any. */
  link: Link | undefined;
  /** The rounds that the flow moves in; undefined in real time. */
  rounds: Rounds | undefined;
  /** The member of the source that was frozen by this process, if any. */
  frozen: FrozenMember | undefined;
  /** Resolves when the member that was let go has caught up. */
  caughtUp: Promise<void> | undefined;
}

/** The last comparison, as it is kept in the run's state. */
export interface ProofRecord {
  readonly state: 'running' | 'equal' | 'different';
  readonly at: string;
  readonly docs: number;
  readonly bytes: number;
  readonly drift: number;
  readonly direction: 'forward' | 'reverse';
  /** The flow it was made in, and the log position it began at: what changed later must be looked at again. */
  readonly generation: number;
  readonly from: Position;
  /** A resync compared before the log since `from` was applied: what that touched has to be compared as well. */
  readonly beforeLog?: true;
  /** Documents were compared by digests of their bytes, in the order on disk. */
  readonly digests?: true;
}

/** What is kept of a resync, also after it: how it came, and what it found. */
export interface ResyncRecord {
  readonly generation: number;
  /** Why the log could not be gone on with. */
  readonly reason: string;
  /** Applied up to here when the log was lost; empty in the middle of a copy. */
  readonly lostAt: Position;
  /** The new time point. */
  readonly position: Position;
  readonly startedAt: string;
  readonly doneAt?: string;
  readonly structure?: Alignment;
  /** Documents that the target lacked, had too much, had otherwise. */
  readonly found: ResyncFindings;
  /** Collections whose order is their meaning, copied as a whole. */
  readonly recopied: readonly string[];
}

/** What a detection of synchrony found; the last one is kept for the report. */
export interface DetectionRecord {
  readonly at: string;
  readonly docs: number;
  /** The log was applied up to here, and had been read up to there. */
  readonly appliedTo: Position;
  readonly spooledTo: Position;
  readonly late: number;
  readonly wrong: number;
  /** There is more than was counted. */
  readonly truncated: boolean;
  readonly sample: readonly Evidence[];
}

/** What is kept of a cutover. */
export interface CutoverRecord {
  readonly fence: FenceKind;
  readonly raisedAtMs?: number;
  /** Log position after which no write of the business may come. */
  readonly fencePosition?: string;
  readonly stallMs?: number;
  readonly switchedAt?: string;
}

/** What is kept of a rollback once the flow has turned. */
export interface RollbackRecord {
  /** The fence at the target, which may have had nobody whom it could hold. */
  readonly fence: FenceKind;
}

export const KEY = {
  catalog: 'catalog',
  generation: 'generation',
  proof: 'proof',
  cutover: 'cutover',
  rollback: 'rollback',
  copyStart: (uuid: string) => `copy.start.${uuid}`,
  early: 'copy.early',
  confirmedAt: 'confirmed.position',
  cleanup: 'cleanup.plan',
  freeze: 'freeze',
  detection: 'detection',
  resync: 'resync',
  resyncCatalog: 'resync.catalog',
  placements: 'resync.placements',
  medium: 'medium',
} as const;

/** Rows that a result lists at most. */
export const SHOWN_DRIFT = 50;

export function shownDrift(drift: readonly Drift[]): Drift[] {
  return drift.slice(0, SHOWN_DRIFT);
}
