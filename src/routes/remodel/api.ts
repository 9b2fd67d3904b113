/**
 * What the `remodel` route offers to its callers (command line, library) and
 * the shapes they see. The JSON forms are a documented promise: fields are
 * added, never renamed or removed, within one `version`.
 */
import type {
  AuditRow,
  Backlog,
  Control,
  Impact,
  Lease,
  Mismatch,
  RemodelPhase,
  ShadowCount,
} from '../../kernel/remodel/index.ts';

export type EngineKind = 'live' | 'duckdb' | 'spark';

/** Everything that can be said of a remodel and its commands: flags, environment and YAML file alike. */
export interface RemodelOptions {
  /** File that exports the definition. */
  readonly definition: string;
  /** Connection string of the database that holds old and new tables. */
  readonly db: string;
  /** Name of the remodel; needed only where the file exports several. */
  readonly remodel?: string;
  /** Longest wait for a gate or a drain, seconds. */
  readonly timeoutSeconds: number;
  /** Sampled writes of `create` and of each look of `ramp auto`; made-up rows of `check` are a hundred times as many. */
  readonly samples: number;
  /** Transactions that adopt or release at once. */
  readonly lanes: number;
  /** Identities of one such transaction. */
  readonly chunk: number;
  /** `auto`: backfill and ramp slow down, hold or step back by what they do to others. */
  readonly throttle: 'auto' | 'off';
  /** Backfill goes no faster than this many identities a second. */
  readonly maxRate?: number;
  /** How much slower than at the start writes may become. */
  readonly latencyLimit: number;
  /** How long a change may wait for the old table, seconds. */
  readonly lagLimitSeconds: number;
  /** How long all must be well before the ramp goes a step up, seconds. */
  readonly soakSeconds: number;
  /** Reads that must have been compared in the shadow, without a difference, before reads go further. */
  readonly minShadow: number;
  /** How long nobody may have read the old table before it is retired, seconds. */
  readonly cycleSeconds?: number;
  /** What verify and backfill compare with. */
  readonly engine: EngineKind;
  /** Where snapshots, lists of identities and archives are written. */
  readonly work: string;
  /** Address of a broker: `amqp://…` or `nats://…`; the built-in relay when absent. */
  readonly queue?: string;
  readonly acceptLossy: boolean;
  readonly dryRun: boolean;
}

/** A condition of a move, with what was measured. */
export interface GateResult {
  readonly name: string;
  readonly holds: boolean;
  /** In words and numbers. */
  readonly measured: string;
}

/** A line of the proof of a move: what was measured, sealed by a hash over it and the one before. */
export interface Proof {
  readonly gates: readonly GateResult[];
  readonly facts: Readonly<Record<string, unknown>>;
  /** Hash of the proof before it; empty for the first. */
  readonly previous: string;
  /** SHA-256 over definition, event, gates, facts and `previous`, hexadecimal. */
  readonly hash: string;
}

export type RemodelCommand =
  | 'init'
  | 'check'
  | 'create'
  | 'ramp'
  | 'status'
  | 'seal'
  | 'backfill'
  | 'verify'
  | 'reads'
  | 'contract'
  | 'retire'
  | 'rollback'
  | 'doctor'
  | 'relay'
  | 'drop';

/** Arguments of single commands. */
export interface RemodelArgs {
  /** `ramp`, `reads`: a share in parts of 10000, or `auto`. */
  readonly share?: number | 'auto';
  /** `reads`: share of reads compared in the shadow. */
  readonly shadow?: number;
  /** `backfill`: this process takes part `index` of `count` (from 1). */
  readonly part?: { readonly index: number; readonly count: number };
  /** `verify`: all columns at once, without a look at presence first. */
  readonly byValue?: boolean;
  readonly trap?: 'record' | 'refuse';
  /** `retire`: the old table's name once more, as consent to drop it. */
  readonly confirm?: string;
  /** `rollback`: how far. */
  readonly to?: RemodelPhase;
  readonly acceptShape?: boolean;
  readonly retryQuarantine?: boolean;
  readonly guard?: Control['guard'];
  /** `init`: the table to begin from, and the file to write. */
  readonly table?: string;
  readonly out?: string;
  /** `check`: seed of the made-up rows. */
  readonly seed?: number;
}

/** What a command answered. Repeating one that already holds is no error: `already` is true. */
export interface RemodelResult {
  readonly version: 1;
  readonly route: 'remodel';
  readonly command: RemodelCommand;
  readonly remodel: string;
  readonly phase: RemodelPhase;
  readonly epoch: number;
  readonly already: boolean;
  readonly dryRun: boolean;
  readonly message: string;
  /** Gates that were looked at. With --dry-run some may be closed. */
  readonly gates?: readonly GateResult[];
  /** With --dry-run: what would be done, line by line. */
  readonly would?: readonly string[];
  readonly proof?: string;
  readonly impact?: Impact;
  readonly backfill?: BackfillReport;
  readonly verify?: readonly VerifyReport[];
  readonly released?: number;
  readonly findings?: readonly RemodelFinding[];
  readonly check?: CheckReport;
  readonly file?: string;
  /** False when the answer is bad news, though the command did its work: what differs, what must be mended. */
  readonly ok: boolean;
}

export interface BackfillReport {
  readonly passes: number;
  readonly listed: number;
  readonly adopted: number;
  readonly quarantined: number;
  readonly seconds: number;
}

export interface VerifyReport {
  readonly engine: EngineKind;
  readonly byValue: boolean;
  readonly identities: number;
  readonly pending: number;
  readonly missing: number;
  readonly extra: number;
  readonly different: number;
  readonly quarantined: number;
  readonly examples: readonly Mismatch[];
  readonly snapshot: string;
  readonly durationMs: number;
  /** Hash of the SQL texts, when an engine compared. */
  readonly sql?: string;
}

export interface RemodelFinding {
  readonly severity: 'error' | 'warning' | 'info';
  readonly check: string;
  readonly message: string;
  readonly remedy?: string;
}

/** What `check` tried, and the first law that was broken. */
export interface CheckReport {
  readonly seed: number;
  readonly madeUpRows: number;
  readonly realRows: number;
  readonly sqlRows: number;
  readonly broken?: {
    readonly law: string;
    /** Made up, shrunk to the simplest that still breaks it; of a real row only its identity is told. */
    readonly example: string;
    readonly columns: readonly string[];
    readonly message: string;
  };
}

/** One look at a remodel. */
export interface RemodelStatus {
  readonly version: 1;
  readonly route: 'remodel';
  readonly remodel: string;
  readonly at: string;
  /** Connection string without secrets. */
  readonly db: string;
  readonly from: string;
  readonly to: readonly string[];
  /** Undefined fields: it was never created. */
  readonly phase: RemodelPhase;
  readonly control: Control | null;
  readonly backlog: Backlog | null;
  readonly shadow: ShadowCount | null;
  readonly leases: readonly Lease[];
  /** The phase that comes next, with its gates as they stand. */
  readonly next: { readonly phase: RemodelPhase; readonly gates: readonly GateResult[] } | null;
  readonly audit: readonly AuditRow[];
}

/** A line of the `--json` stream of long commands, or what the terminal shows meanwhile. */
export interface RemodelEvent {
  readonly type: 'event';
  readonly at: string;
  readonly kind: string;
  readonly message: string;
  readonly data: Readonly<Record<string, unknown>>;
}
