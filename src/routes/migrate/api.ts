/**
 * What the `migrate` route offers to its callers (command line, server,
 * library) and the shapes they see. The JSON forms are a documented promise:
 * fields are added, never renamed or removed, within one `version`.
 */
import type { Finding } from '../../kernel/finding.ts';
import type { Phase } from '../../kernel/phase.ts';
import type { Drift } from '../../kernel/ports.ts';

export type { Finding, Severity } from '../../kernel/finding.ts';

export type FenceKind = 'roles' | 'entry' | 'write-block' | 'none';
export type ReadFrom = 'primary' | 'secondary';
/** Where `run` stops by itself, to be gone on with later. */
export type Until = 'copied' | 'following' | 'verified';

/** The address applications connect to, kept in a file. */
export interface FileEntryOptions {
  readonly kind: 'file';
  readonly path: string;
  /** Key whose value is the address: `db.uri` in JSON/YAML, `DATABASE_URL` in env files. */
  readonly key: string;
  /** By the file's name when absent. */
  readonly format?: 'json' | 'yaml' | 'env';
  /** Value to write at the switch. Default: the present value with the target's hosts and set name. */
  readonly to?: string;
}

/** A program told by HTTP POST to move the address. */
export interface WebhookEntryOptions {
  readonly kind: 'webhook';
  readonly url: string;
  /** Name of the environment variable holding the HMAC-SHA-256 key, if any. */
  readonly secretEnv?: string;
  readonly timeoutSeconds: number;
}

export type EntryOptions = FileEntryOptions | WebhookEntryOptions;

/** Everything that can be said of a migration: flags, YAML file and library alike. */
export interface MigrateOptions {
  readonly from: string;
  readonly to: string;
  readonly run: string;
  readonly state: string;
  /** Namespaces to move: `db`, `db.*`, `db.coll`, with `*` and `?`. Empty: all but admin, config, local. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** `db=db2` or `db.a=db2.b`. */
  readonly rename: readonly string[];
  /** Default: a secondary where there is one. */
  readonly readFrom?: ReadFrom;
  readonly until?: Until;
  /** `auto`: cut over as soon as a proof holds. */
  readonly cutover: 'manual' | 'auto';
  /** Default: the narrowest that works here. */
  readonly fence?: FenceKind;
  readonly fenceWholeCluster: boolean;
  readonly entries: readonly EntryOptions[];
  /** Longest time the chosen namespaces may be fenced before the cutover is undone. */
  readonly maxStallSeconds: number;
  /** Connections that copy at once. */
  readonly lanes: number;
  /** Connections that apply the log at once. */
  readonly applyLanes: number;
  readonly chunkMb: number;
  readonly maxMbps?: number;
  /** `auto`: the copy slows down by what it does to others on the source. */
  readonly throttle: 'auto' | 'off';
  /** How much slower than before the neighbours' operations may become. */
  readonly neighbourLatencyLimit: number;
  /** How long a fault may last before the run stops with GW3004. */
  readonly retryForSeconds: number;
  /** Carry users and roles of the chosen databases too. */
  readonly withUsers: boolean;
  /** Confirm by itself when the target has been stable for so long after the switch. */
  readonly confirmAfterSeconds?: number;
}

export interface CheckReport {
  readonly version: 1;
  readonly ok: boolean;
  readonly findings: readonly Finding[];
  readonly plan: {
    readonly collections: number;
    readonly documents: number;
    readonly bytes: number;
    readonly fence: FenceKind;
    readonly fenceReason: string;
    readonly readFrom: string;
  };
}

export interface CollectionStatus {
  readonly namespace: string;
  readonly target: string;
  readonly state: 'waiting' | 'copying' | 'indexing' | 'ready';
  readonly docs: number;
  readonly docsTotal: number;
  readonly bytes: number;
  readonly bytesTotal: number;
}

/** One look at a run. */
export interface MigrateStatus {
  readonly version: 1;
  readonly route: 'migrate';
  readonly run: string;
  readonly phase: Phase;
  /** When this was measured, ISO 8601. */
  readonly at: string;
  readonly startedAt: string;
  readonly runner: { readonly alive: boolean; readonly pid: number | null };
  readonly paused: string | null;
  readonly throttled: string | null;
  /** Connection strings without secrets. */
  readonly from: string;
  readonly to: string;
  readonly copy: {
    readonly docs: number;
    readonly docsTotal: number;
    readonly bytes: number;
    readonly bytesTotal: number;
    readonly mbPerSecond: number;
    readonly docsPerSecond: number;
    readonly secondsLeft: number | null;
    readonly collections: readonly CollectionStatus[];
  };
  readonly log: {
    readonly spooledTo: string | null;
    readonly appliedTo: string | null;
    readonly spoolBytes: number;
    readonly entriesApplied: number;
    readonly entriesPerSecond: number;
    /** Seconds between a commit at the source and its being durable at the target. */
    readonly lagSeconds: number | null;
    /**
     * A moment at which the target equals the source, transactions whole: a
     * snapshot read at `targetTime` there shows the source as of `sourceTime`.
     */
    readonly consistentAt: {
      readonly sourceTime: { readonly t: number; readonly i: number };
      readonly targetTime: { readonly t: number; readonly i: number };
    } | null;
  };
  readonly verify: {
    readonly state: 'none' | 'running' | 'equal' | 'different';
    readonly at: string | null;
    readonly docs: number;
    readonly docsTotal: number;
    readonly drift: number;
  };
  readonly cutover: {
    readonly fence: FenceKind | null;
    /** How long the chosen namespaces refused writes, once known. */
    readonly stallMs: number | null;
    readonly switchedAt: string | null;
  };
  /** The fault being waited out right now. */
  readonly fault: { readonly code: string; readonly message: string; readonly since: string } | null;
}

/** What a command answered. Repeating a command that already holds is not an error: `already` is true. */
export interface CommandResult {
  readonly version: 1;
  readonly command: string;
  readonly run: string;
  readonly phase: Phase;
  readonly already: boolean;
  readonly message: string;
  readonly drift?: readonly Drift[];
  readonly stallMs?: number;
  readonly report?: string;
}

/** Options that a command may set for a run whose process is told to carry it out. */
export type CommandOverrides = Partial<
  Pick<MigrateOptions, 'fence' | 'fenceWholeCluster' | 'maxStallSeconds' | 'withUsers'>
>;

/** Arguments of single commands. */
export interface CommandArgs {
  /** Options said with the command; they hold from then on. */
  readonly overrides?: CommandOverrides;
  readonly repair?: boolean;
  /** `cleanup`: the run's name, said again, as consent to delete its data at the source. */
  readonly yesDelete?: string;
}

export type CommandName = 'pause' | 'resume' | 'verify' | 'cutover' | 'rollback' | 'confirm' | 'cleanup' | 'cancel';

/** One line of the `--json` stream of `run`: a status, or something that happened. */
export type RunEvent =
  | { readonly type: 'status'; readonly status: MigrateStatus }
  | { readonly type: 'event'; readonly at: string; readonly kind: string; readonly data: Record<string, unknown> };
