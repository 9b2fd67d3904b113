/** What a report is made of. The route fills it from the run's durable state. */
import type { Drift } from '../../../kernel/ports.ts';
import type { Evidence, MigrateStatus } from '../api.ts';

/**
 * What is measured about once a second. `copyBytes`, `copyDocs`,
 * `entriesApplied` and `verifyDocs` only grow; the others go up and down.
 */
export type SampleName = 'copyBytes' | 'copyDocs' | 'entriesApplied' | 'lagSeconds' | 'spoolBytes' | 'verifyDocs';

export interface Sample {
  readonly atMs: number;
  readonly values: Readonly<Partial<Record<SampleName, number>>>;
}

/**
 * A row of the run's history. Charts show as bands the events whose `data`
 * has a phase in `phase` or `to`, and as marks those whose kind begins with
 * `fault`, `throttle`, `fence`, `switch`, `cutover` or `rollback`.
 */
export interface ReportEvent {
  readonly seq: number;
  readonly atMs: number;
  readonly kind: string;
  readonly data: Readonly<Record<string, unknown>>;
}

/** The last complete comparison of both sides. */
export interface Proof {
  /** ISO 8601. */
  readonly at: string;
  readonly docs: number;
  /** Bytes of documents read on each side. */
  readonly bytes: number;
  readonly drift: number;
  /** `digests`: of every document 64 bits of a digest of its bytes; made in a resync. */
  readonly by: 'bytes' | 'digests';
  /** Digest over all documents of both sides, when one was made. */
  readonly digest?: string;
}

/** How the differences of the last comparison were judged by the log. */
export interface DetectionOfSync {
  readonly at: string;
  /** Documents compared. */
  readonly docs: number;
  /** Times of the log positions applied and read, ISO 8601. */
  readonly appliedTo: string;
  readonly spooledTo: string;
  readonly late: number;
  readonly wrong: number;
  /** There was more than was counted. */
  readonly truncated: boolean;
  readonly sample: readonly Evidence[];
}

export interface ReportData {
  readonly status: MigrateStatus;
  /** In order of time. */
  readonly samples: readonly Sample[];
  /** In order of time. */
  readonly events: readonly ReportEvent[];
  readonly proof: Proof | null;
  /** What differs now; empty when nothing does. */
  readonly drift: readonly Drift[];
  /** What is late and what is wrong, with the reasoning for a sample; null when nothing had to be judged. */
  readonly detection: DetectionOfSync | null;
  /** Version of Godwit that wrote the report. */
  readonly godwit: string;
}
