/** What `godwit relocate` takes and answers; programs read it as JSON. */
import type { Compress, Mapping, TlsFiles } from '../../adapters/linux-files/index.ts';
import type { MovePhase } from './phase.ts';

interface Connection {
  /** Where the target listens: `host:port`, or `unix:/path` for what ssh forwards. */
  readonly address: string;
  /** Needed over TCP. */
  readonly tls?: TlsFiles | undefined;
}

/** How the services of the source are made to stand still, and go on again. */
export interface ServiceOptions {
  readonly stopCommand?: string | undefined;
  readonly resumeCommand?: string | undefined;
  /** A control group (version 2) whose processes are frozen. */
  readonly freezeCgroup?: string | undefined;
  /** Seconds for which the file systems themselves may be frozen while the last changes are sent and both sides proved. */
  readonly freezeFiles?: number | undefined;
  /** Seconds that one command may take. */
  readonly commandTimeout: number;
}

export interface AgentOptions extends Connection {
  /** The move's name: what `cutover`, `commit` and `rollback` ask for as consent. */
  readonly name: string;
  /** Copy, prove and end; otherwise the source is followed until the move is committed. */
  readonly once: boolean;
  readonly services: ServiceOptions;
  /** The control information: which directory of the target stands for which of the source. */
  readonly mappings: readonly Mapping[];
  /** What the source remembers of this move. */
  readonly state: string;
  readonly compress: Compress;
  /** Bytes a second. */
  readonly maxRate?: number | undefined;
  /** How many rounds may follow the first one. */
  readonly rounds: number;
  readonly dryRun: boolean;
  /** A file that gets a line of JSON for each change that is sent. */
  readonly logChanges?: string | undefined;
  /** Seconds for which a lost connection is tried again. */
  readonly retryFor: number;
  /** The words that start this program: with them, a process of its own lets stopped services go on when the agent is killed. */
  readonly program?: readonly string[] | undefined;
}

export interface ReceiveOptions extends Connection {
  /** Everything is written below it. */
  readonly root: string;
  /** What the mapped directories hold already becomes what the source has; otherwise they must be empty. */
  readonly replace?: boolean | undefined;
  readonly state: string;
  /** End when a source has said goodbye. */
  readonly once: boolean;
  /** How the services below the root are started and stopped. */
  readonly startCommand?: string | undefined;
  readonly stopCommand?: string | undefined;
  /** Seconds that one of them may take. */
  readonly commandTimeout: number;
}

/** One pass over the source. */
export interface Round {
  readonly entries: number;
  readonly bytes: number;
  readonly sent: number;
  readonly sentBytes: number;
  readonly removed: number;
  /** Large files that were renamed on the target instead of being sent. */
  readonly moved: number;
  readonly unsettled: number;
  readonly seconds: number;
}

/** What both sides computed on their own, from what lies on their disks. */
export interface Certificate {
  readonly algorithm: 'sha256-tree-1';
  readonly entries: number;
  readonly bytes: number;
  readonly mappings: readonly { readonly source: string; readonly target: string; readonly root: string }[];
  readonly at: string;
}

export interface Noted {
  readonly count: number;
  /** The first of them. */
  readonly examples: readonly string[];
}

export interface AgentResult {
  readonly version: 1;
  readonly command: 'agent' | 'verify';
  /**
   * `proven`: both sides are the same, and nothing changed on the source while that was found out.
   * `committed`: that was so at the cutover, and the services are the target's.
   */
  readonly outcome: 'proven' | 'not-proven' | 'dry-run' | 'committed';
  /** Why it is not proven, in words. */
  readonly because?: string;
  /** Of a move that was followed, the last of them. */
  readonly rounds: readonly Round[];
  readonly roundCount: number;
  /** From the moment when the source's services were to stop until the target's ran. */
  readonly gapMs?: number;
  readonly certificate?: Certificate;
  readonly differences: readonly string[];
  readonly differenceCount: number;
  /** By why: not carried, or not as it is. */
  readonly notes: Readonly<Record<string, Noted>>;
  /** Bytes on the wire, from source to target. */
  readonly wireBytes: number;
  readonly durationSeconds: number;
}

export interface AgentProgress {
  readonly doing: 'copying' | 'proving' | 'looking again' | 'following';
  readonly round: number;
  readonly entries: number;
  readonly bytes: number;
  readonly sentBytes: number;
  readonly wireBytes: number;
  /** Content a second, over the last seconds. */
  readonly bytesPerSecond: number;
  readonly entriesPerSecond: number;
  /** Known after a dry run or a whole round. */
  readonly total?: { readonly entries: number; readonly bytes: number };
  readonly secondsLeft?: number;
  /** While following: how old the state is that the target has for certain. */
  readonly lagSeconds?: number;
  /** While following: the last round. */
  readonly lastRound?: Round;
}

/** A live move, as `status` tells it. */
export interface MoveStatus {
  readonly version: 1;
  readonly name: string;
  readonly phase: MovePhase;
  /** Who may have the services. */
  readonly holds: 'source' | 'nobody' | 'target';
  /** Since when the phase is this one. */
  readonly since: string;
  /** Whether the agent runs. Without it the rest is as it was when it ended. */
  readonly isRunning: boolean;
  readonly target: string;
  readonly roundCount: number;
  readonly lastRound?: Round;
  readonly lagSeconds?: number;
  /** When both sides were last looked at as a whole while the source lived. */
  readonly lookedAt?: string;
  /** How many cutovers were begun. */
  readonly turn: number;
  /** Why the last cutover was undone. */
  readonly undone?: string;
  readonly gapMs?: number;
  readonly certificate?: Certificate;
}

export interface CutoverOptions {
  /** Seconds from the stop of the source's services to the proof; longer, and it is undone. */
  readonly maxStall: number;
  /** Say what would be done. */
  readonly dryRun: boolean;
}

export interface CutoverResult {
  readonly version: 1;
  readonly command: 'cutover';
  readonly outcome: 'running' | 'dry-run';
  /** What a dry run found: what would be done, in words. */
  readonly steps: readonly string[];
  readonly gapMs?: number;
  /** The parts of the gap. */
  readonly parts?: Readonly<Record<'stopMs' | 'drainMs' | 'proofMs' | 'startMs', number>>;
  readonly certificate?: Certificate;
}

export type RelocateEvent =
  | { readonly type: 'event'; readonly kind: 'round'; readonly round: number; readonly counts: Round }
  | { readonly type: 'event'; readonly kind: 'lost'; readonly message: string; readonly waitMs: number }
  | { readonly type: 'event'; readonly kind: 'proof'; readonly equal: boolean; readonly differences: number }
  | { readonly type: 'event'; readonly kind: 'phase'; readonly phase: MovePhase; readonly because?: string }
  /** Nobody would let stopped services go on if the agent were killed now, and why. */
  | { readonly type: 'event'; readonly kind: 'no-guard'; readonly because: string }
  /** Changes are captured; or not, and why. */
  | { readonly type: 'event'; readonly kind: 'capture'; readonly because?: string }
  | { readonly type: 'event'; readonly kind: 'cutover'; readonly gapMs: number }
  | { readonly type: 'event'; readonly kind: 'services'; readonly state: 'running' | 'stopped' }
  | { readonly type: 'event'; readonly kind: 'listening'; readonly address: string }
  | { readonly type: 'event'; readonly kind: 'source'; readonly move: string; readonly resumedAt: number }
  | { readonly type: 'event'; readonly kind: 'source-ended'; readonly bundles: number }
  | { readonly type: 'event'; readonly kind: 'refused'; readonly message: string }
  | {
      readonly type: 'event';
      readonly kind: 'note';
      readonly why: string;
      readonly path: string;
      readonly detail?: string;
    };

export interface AgentHooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: RelocateEvent) => void;
  readonly onProgress: (progress: AgentProgress) => void;
}

export interface ReceiveHooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: RelocateEvent) => void;
}

export interface ReceiveResult {
  readonly version: 1;
  readonly command: 'receive';
  readonly sources: number;
}

/** What the guard of an agent is told when it is started. */
export interface GuardOrder {
  readonly state: string;
  readonly name: string;
  readonly target: string;
  readonly services: ServiceOptions;
}

/** The route as the command line uses it. */
export interface RelocateRoute {
  agent(options: AgentOptions, hooks: AgentHooks): Promise<AgentResult>;
  verify(options: AgentOptions, hooks: AgentHooks): Promise<AgentResult>;
  receive(options: ReceiveOptions, hooks: ReceiveHooks): Promise<ReceiveResult>;
  /** The rest talk to the agent that runs with a state directory. */
  status(state: string, signal: AbortSignal): Promise<MoveStatus>;
  cutover(state: string, options: CutoverOptions, signal: AbortSignal): Promise<CutoverResult>;
  commit(state: string, signal: AbortSignal): Promise<MoveStatus>;
  rollback(state: string, signal: AbortSignal): Promise<MoveStatus>;
  /** Waits for the end of the agent whose order `lines` begin with, and lets its services go on where that is right. */
  guard(lines: AsyncIterable<string>, onReady: () => void): Promise<void>;
}
