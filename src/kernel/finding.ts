export type Severity = 'error' | 'warning' | 'info';

/** One thing a preflight check found. */
export interface Finding {
  readonly severity: Severity;
  /** Stable name of the check, for programs: `privileges.source`, `target.not-empty`, … */
  readonly check: string;
  readonly message: string;
  /** What to do about it; absent for `info`. */
  readonly remedy?: string;
}
