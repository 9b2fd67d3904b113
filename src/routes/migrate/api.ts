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
export type MediumCompression = 'none' | 'gzip' | 'zstd';
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
  /** Storage medium of `export` and `import`: a folder, or an archive file. */
  readonly medium?: string;
  /** The run begins with this medium instead of a copy. */
  readonly fromMedium?: string;
  /** Default: none. */
  readonly compress?: MediumCompression;
  /** A time (ISO 8601) or a cluster timestamp (`seconds:ordinal`) in the past. Default: now. */
  readonly timePoint?: string;
  /** Who writes and reads the medium. Default: godwit. */
  readonly mediumTool?: 'godwit' | 'mongodump';
  /** Default: a secondary where there is one. */
  readonly readFrom?: ReadFrom;
  /** `secondary`, or `host:port`: a member whose writes stand still while it is copied. */
  readonly freeze?: string;
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
  /** The copy slows down while a member of the source is busier than so many percent. */
  readonly maxSourceLoad?: number;
  /** `auto`: the copy slows down by what it does to others on the source. */
  readonly throttle: 'auto' | 'off';
  /** How much slower than before the neighbours' operations may become. */
  readonly neighbourLatencyLimit: number;
  /** How long a fault may last before the run stops with GW3004. */
  readonly retryForSeconds: number;
  /** When the log is lost: compare both sides and copy again what differs, instead of stopping with GW4001. */
  readonly resync: boolean;
  /** Carry users and roles of the chosen databases too. */
  readonly withUsers: boolean;
  /** When changes are carried: rounds, or in real time when absent. */
  readonly sync?: { readonly every: number } | { readonly cron: string };
  /** Minutes since midnight between which rounds may work. */
  readonly syncHours?: { readonly from: number; readonly to: number };
  /** Rounds read the source's log no faster than this. */
  readonly syncMaxMbps?: number;
  /** A folder with the source's log, kept by `migrate spool`: changes that the source has forgotten come from there. */
  readonly spool?: string;
  /** `migrate spool`: how long, and how much of the log is kept; all of it when absent. */
  readonly spoolKeepSeconds?: number;
  readonly spoolKeepGb?: number;
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

/** A member of the source that stood still while it was copied. */
export interface FreezeStatus {
  readonly member: string;
  readonly state: 'held' | 'catching-up' | 'caught-up';
  /** Its last applied operation: the first time point, as a cluster time and as ISO 8601. */
  readonly timePoint: { readonly t: number; readonly i: number };
  readonly timePointAt: string;
  readonly lockedAt: string;
  /** How long its writes stood still, so far. */
  readonly heldSeconds: number;
  /** Behind the primary, when last looked at after it was let go; null before. */
  readonly behindSeconds: number | null;
  /** How long it took to catch up, once it has. */
  readonly caughtUpSeconds: number | null;
  /** Every document was read as of the time point, none newer. */
  readonly exact: boolean;
  /** Why it was let go before everything was read; null when it was not. */
  readonly cutShort: string | null;
}

/** One round of periodic synchronisation: what it moved, and what was left. */
export interface SyncRound {
  readonly number: number;
  readonly why: 'due' | 'log-would-be-forgotten';
  /** Why it came out of turn; null when it did not. */
  readonly reason: string | null;
  readonly startedAt: string;
  readonly seconds: number;
  /** Read of the source's log; `applied` counts what reached the target. */
  readonly entries: number;
  readonly bytes: number;
  readonly applied: number;
  /** What the source's log held beyond it at the end. */
  readonly behind: SyncStatus['behind'];
  /** Why it ended before all was applied; null when it did not. */
  readonly cutShort: string | null;
}

/** How and when changes are carried. */
export interface SyncStatus {
  readonly mode: 'real-time' | 'periodic';
  readonly schedule: string | null;
  readonly hours: string | null;
  /** `real-time` in periodic mode: a command needs the present. */
  readonly state: 'real-time' | 'round' | 'idle';
  readonly nextAt: string | null;
  readonly rounds: number;
  readonly last: SyncRound | null;
  /** What the source's log holds of the chosen namespaces that is not at the target, when last counted. */
  readonly behind: {
    readonly events: number;
    readonly bytes: number;
    readonly seconds: number;
    readonly at: string;
  } | null;
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
  readonly sync: SyncStatus;
  /** The member that stood still for the copy; null without --freeze. */
  readonly freeze: FreezeStatus | null;
  readonly cutover: {
    readonly fence: FenceKind | null;
    /** How long the chosen namespaces refused writes, once known. */
    readonly stallMs: number | null;
    readonly switchedAt: string | null;
  };
  /** The last resync after a lost log, if there was any. */
  readonly resync: {
    readonly state: 'running' | 'done';
    readonly reason: string;
    readonly startedAt: string;
    readonly doneAt: string | null;
    /** Documents that were put right: missing, too much, and different at the side that follows. */
    readonly missing: number;
    readonly extra: number;
    readonly different: number;
    /** Collections that had to be copied as a whole. */
    readonly recopied: readonly string[];
  } | null;
  /** The fault being waited out right now. */
  readonly fault: { readonly code: string; readonly message: string; readonly since: string } | null;
}

/** What `migrate spool` tells, once a second and at its end. */
export interface SpoolStatus {
  readonly version: 1;
  readonly folder: string;
  /** The log is kept after this time, up to that one (ISO 8601). */
  readonly after: string;
  readonly upTo: string;
  readonly bytes: number;
  /** Between the source's clock and the newest entry kept; null before the first. */
  readonly lagSeconds: number | null;
  readonly fault: { readonly code: string; readonly message: string } | null;
}

/** The reasoning by which a difference was judged, from the source's own log. */
export interface Evidence extends Drift {
  /** `late`: a change that explains it is on its way. `wrong`: none is. */
  readonly verdict: 'late' | 'wrong';
  /** Why, in words. */
  readonly reason: string;
  /** Digest of the old value: what the source held at the log position applied. `none` when it held nothing. */
  readonly beforeDigest?: string;
  /** The first change that was not applied yet; for a wrong one the last change that was, if any is known. */
  readonly entry?: {
    /** Time of the log entry, ISO 8601, and its position. */
    readonly at: string;
    readonly position: string;
    readonly kind: string;
    readonly applied: boolean;
  };
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
  /** `verify --now`: documents that differ because the log is behind. */
  readonly late?: number;
  /** `verify`: how differences were judged, for a sample. */
  readonly evidence?: readonly Evidence[];
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
  /** `verify`: compare both sides as they are, without waiting for the log, and say what is late and what is wrong. */
  readonly now?: boolean;
  /** `cleanup`: the run's name, said again, as consent to delete its data at the source. */
  readonly yesDelete?: string;
}

export type CommandName =
  | 'pause'
  | 'resume'
  | 'verify'
  | 'cutover'
  | 'rollback'
  | 'confirm'
  | 'cleanup'
  | 'cancel'
  | 'unfreeze';

/** What `export` is told. */
export type ExportOptions = Omit<MigrateOptions, 'to' | 'medium'> & { readonly medium: string };
/** What `import` is told. */
export type ImportOptions = Omit<MigrateOptions, 'from' | 'medium'> & {
  readonly medium: string;
  /** No run will go on from here: the medium's own log is applied, and indexes are made what they are at the source. */
  readonly finish?: boolean;
};

/** One look at work on a medium outside of a run's phases. */
export interface MediumProgress {
  readonly version: 1;
  /** `check`: a medium is looked through before anything is written. */
  readonly work: 'export' | 'check';
  readonly medium: string;
  /** ISO 8601. */
  readonly at: string;
  /** In words: what is being done. */
  readonly step: string;
  readonly docs: number;
  readonly docsTotal: number;
  readonly bytes: number;
  /** 0 when it is not known beforehand. */
  readonly bytesTotal: number;
  readonly mbPerSecond: number;
  readonly secondsLeft: number | null;
  readonly throttled: string | null;
  readonly fault: { readonly code: string; readonly message: string } | null;
}

/** What an export left. */
export interface ExportResult {
  readonly version: 1;
  readonly command: 'export';
  readonly medium: string;
  readonly id: string;
  readonly already: boolean;
  readonly message: string;
  /** The first time point: everything written up to it is on the medium. */
  readonly timePoint: { readonly t: number; readonly i: number };
  readonly timePointAt: string;
  /** Whether the medium is exactly as of the time point, without its log. */
  readonly snapshot: boolean;
  /** Collections that could not be read as of the time point, and why. */
  readonly inexact: readonly { readonly namespace: string; readonly why: string }[];
  readonly collections: number;
  readonly views: number;
  readonly documents: number;
  /** Of documents. */
  readonly bytes: number;
  /** Of all files. */
  readonly mediumBytes: number;
  readonly logEntries: number;
  /** Until when the source's log must reach back, for a run to go on from the medium. */
  readonly logEndsAt: string;
  readonly seconds: number;
}

/** One line of the `--json` stream of `run`: a status, or something that happened. */
export type RunEvent =
  | { readonly type: 'status'; readonly status: MigrateStatus }
  | { readonly type: 'medium'; readonly progress: MediumProgress }
  | { readonly type: 'event'; readonly at: string; readonly kind: string; readonly data: Record<string, unknown> };
