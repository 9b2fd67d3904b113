/** What the roles of `protect` are told, and what they say. */
import type { IoFlusher } from '../../adapters/linux-memory/index.ts';
import type { Manifest } from './engine/manifest.ts';
import type { Mode, Policy } from './engine/rules.ts';

export type { LostOperation, Manifest } from './engine/manifest.ts';
export { POLICIES, type Policy } from './engine/rules.ts';

export interface HostPort {
  readonly host: string;
  readonly port: number;
}

/** Where NBD is served: a Unix socket, or TCP. */
export type NbdAt = { readonly path: string } | HostPort;

/** What all three roles must be told alike; they compare it when they meet. */
export interface SharedOptions {
  /** Name of the volume. */
  readonly volume: string;
  /** Bytes of the volume, a multiple of 4096. */
  readonly size: number;
  /** Bytes of the ring of data blocks, of the same size on all sides. */
  readonly ring: number;
  /** Directory for ring, order and state. */
  readonly state: string;
  /** File with the key that the three share; nothing: neither encrypted nor authenticated. */
  readonly key: string | undefined;
  /** Begin where nothing is: a role that has lost its disk must not take part as if it had never promised anything. */
  readonly create: boolean;
  /** Where `/metrics` is served for Prometheus. */
  readonly metrics: HostPort | undefined;
  /** How long a primary may acknowledge after it was last heard by one of the others. Milliseconds. */
  readonly leaseMs: number;
}

/**
 * What an image is when the volume is created: `new`, and made then; `kept`: what is there is the volume;
 * `overwritten`: what is there goes. A file or a block device.
 */
export type ImageAtFirst = 'new' | 'kept' | 'overwritten';

/** `lane`: by messages, and the auxiliary writes them down; `nbd`: its area is mounted at the primary, which writes into it. */
export type Sharing = 'lane' | 'nbd';

export interface PrimaryOptions extends SharedOptions {
  /** The image: a file that is made where there is none, or what is there, as `imageAtFirst` says. */
  readonly image: string;
  /** Default: `new`. */
  readonly imageAtFirst?: ImageAtFirst;
  readonly nbd: NbdAt;
  readonly auxiliary: HostPort;
  readonly dr: HostPort;
  readonly policy: Policy;
  /** How order, data and states come to the auxiliary. */
  readonly sharing: Sharing;
  /** How long a role that has fallen silent is waited for before the mode is changed; nothing: for ever. Milliseconds. */
  readonly patienceMs: number | undefined;
  /** There is nothing here: a new machine in the place of a primary that is gone, to which the DR gives the volume back. */
  readonly replace: boolean;
}

export interface AuxiliaryOptions extends SharedOptions {
  /** There is nothing here: a new machine in the place of an auxiliary that is gone. */
  readonly replace: boolean;
  readonly listen: HostPort;
  /** Where its area is served by NBD, for a primary that mounts it; nothing: not at all. */
  readonly area: HostPort | undefined;
}

export interface DrOptions extends SharedOptions {
  /** There is nothing here: a new machine in the place of a DR that is gone; the primary fills it. */
  readonly replace: boolean;
  readonly image: string;
  /** Default: `new`. */
  readonly imageAtFirst?: ImageAtFirst;
  readonly listen: HostPort;
  readonly auxiliary: HostPort;
  /** Where the volume is served once this side was promoted. */
  readonly nbd: NbdAt;
  /** Bytes of the log of what operations replace in the image; nothing: it cannot be rewound. */
  readonly rewind?: number | undefined;
}

export interface PeerStatus {
  readonly connected: boolean;
  /** Bytes sent and received since the start of the process. */
  readonly order: { readonly sent: number; readonly received: number };
  readonly data: { readonly sent: number; readonly received: number };
}

export interface PrimaryStatus {
  readonly role: 'primary';
  readonly volume: string;
  /** Bytes that are served. */
  readonly size: number;
  /** `waiting`: the volume has content, and no DR has begun that will be given it; `yielding`: it gives the lead to the DR, and writers wait; `returning`: the DR leads, and gives the volume back to this side. */
  readonly phase: 'waiting' | 'asking' | 'leading' | 'yielding' | 'deposed' | 'returning';
  readonly policy: Policy;
  /** Which roles are counted on; `undefined` until the first record is settled. */
  readonly mode: Mode | undefined;
  readonly epoch: number;
  readonly hasLease: boolean;
  /** Sequence of the last operation, and up to where operations are as safe as the policy promises. */
  readonly last: number;
  readonly settled: number;
  /** Operations whose order is not at the DR yet. */
  readonly orderLag: number;
  /** What has not arrived durably at the DR: operations, bytes, and seconds since the oldest of them. */
  readonly dataLag: { readonly operations: number; readonly bytes: number; readonly seconds: number };
  /** `refused`: the auxiliary was not told to serve its area. */
  readonly sharedArea: { readonly way: Sharing; readonly state: 'in use' | 'not mounted' | 'refused' };
  /** Share of the ring in use, 0 to 1. */
  readonly ringFill: number;
  /** To be sent again to a DR that was away; 0: it has missed nothing. */
  readonly resyncBytes: number;
  readonly peers: { readonly auxiliary: PeerStatus; readonly dr: PeerStatus };
  /** Whether it may have its user on the same host: it does not wait for memory that its user has filled. */
  readonly ioFlusher: IoFlusher;
  /** Where the volume would go on if the primary were lost now, and if the auxiliary were lost with it. */
  readonly recoveryPoints: readonly RecoveryPoint[];
  /** What would be lost, by what fails now. */
  readonly outcomes: readonly Outcome[];
  /** While the DR's image is being compared with the volume. */
  readonly verify?: VerifyStatus;
}

export interface VerifyStatus {
  readonly comparedBytes: number;
  readonly totalBytes: number;
  /** Chunks that differ, as far as it is known. */
  readonly differing: number;
  readonly mended: number;
}

/** A part of the volume, as the DR's image is compared and mended. */
export interface ChunkAt {
  readonly number: number;
  readonly offset: number;
  readonly length: number;
}

export interface VerifyResult {
  /** Each chunk was compared as of one operation, from the first of these to the second. */
  readonly from: number;
  readonly to: number;
  readonly bytes: number;
  readonly differing: readonly ChunkAt[];
  /** Were different, were sent again, and were found the same after that. */
  readonly mended: readonly ChunkAt[];
  /** Comparisons that had to be made again, because the DR had gone on or there was a difference. */
  readonly repeated: number;
  readonly seconds: number;
}

/** A moment that the DR's image can be rewound to. */
export interface MomentAt {
  readonly sequence: number;
  /** When that operation was written, ISO 8601, by the clock of whoever led; nothing where it is not known. */
  readonly at: string | null;
}

export interface RewindStatus {
  /** Nothing: no moment can be reached now. */
  readonly reach: { readonly from: MomentAt; readonly to: MomentAt } | null;
  /** Share of the log in use, 0 to 1. */
  readonly fill: number;
  /** While a copy is being made. */
  readonly copy?: { readonly bytes: number; readonly totalBytes: number };
}

/** Which moment is wanted: after that operation, or what was there at that time (milliseconds since 1970). */
export type RewindTo = { readonly sequence: number } | { readonly time: number };

export interface RewindResult {
  readonly volume: string;
  readonly file: string;
  readonly moment: MomentAt;
  /** What was done since then and is not in it. */
  readonly undone: { readonly operations: number; readonly bytes: number };
  readonly seconds: number;
}

/** An amount of operations that are missing somewhere. */
export interface Amount {
  readonly operations: number;
  readonly bytes: number;
  /** Since the oldest of them. */
  readonly seconds: number;
}

export interface RecoveryPoint {
  readonly lost: readonly RoleName[];
  /** The volume would be as of this operation; nothing where no role could go on by itself. */
  readonly sequence: number | null;
  /** When that one was written, ISO 8601; nothing where that is not known any more. */
  readonly at: string | null;
  /** Acknowledged, and not in it. */
  readonly missing: Amount;
}

export type RoleName = RoleStatus['role'];

/**
 * - `nothing`: nothing that was promised is lost, and the volume goes on;
 * - `operations`: some are lost, and named;
 * - `waits`: nothing is lost, and the volume stands still until one of them is back;
 * - `refused`: no other role can go on by itself;
 * - `volume`: the volume is served nowhere any more;
 * - `missing`: that role is not counted on already;
 * - `unknown`: nothing is settled yet.
 */
export const VERDICTS = ['nothing', 'operations', 'waits', 'refused', 'volume', 'missing', 'unknown'] as const;
export type Verdict = (typeof VERDICTS)[number];

/** What it would cost if these roles were gone for good at this instant. */
export interface Outcome {
  readonly roles: readonly RoleName[];
  readonly fails: string;
  readonly costs: string;
  readonly verdict: Verdict;
}

export interface AuxiliaryStatus {
  readonly role: 'auxiliary';
  readonly volume: string;
  readonly epoch: number;
  /** The order and the payload held: from after `base` to `last`. */
  readonly base: number;
  readonly last: number;
  /** A primary has its area mounted, and writes into it by itself. */
  readonly mounted: boolean;
  /** Share of the ring in use, 0 to 1. */
  readonly ringFill: number;
  /** It is new in the place of another one, and does not hold everything yet: it cannot stand in for the primary. */
  readonly incomplete: boolean;
}

export interface DrStatus {
  readonly role: 'dr';
  /** It is new in the place of another one, and does not have the whole volume yet. */
  readonly incomplete: boolean;
  readonly volume: string;
  readonly phase: 'following' | 'promoting' | 'promoted';
  readonly epoch: number;
  /** Executed in the image, durably. */
  readonly base: number;
  /** The order is here, durably. */
  readonly last: number;
  /** Its image is no state of the volume before it has caught up. */
  readonly stale: boolean;
  /** Order that is here, and its data not: on its way, or at the auxiliary after a promotion. */
  readonly dataLag: Amount;
  /** Data that is here and waits for its turn. */
  readonly suspended: Amount;
  /** Share in use of the room for what is not executed yet, 0 to 1. */
  readonly ringFill: number;
  /** Where the volume would go on if this role alone were left. */
  readonly recoveryPoints: readonly RecoveryPoint[];
  readonly outcomes: readonly Outcome[];
  readonly peers: { readonly primary: PeerStatus; readonly auxiliary: PeerStatus };
  /** While what was pending at the promotion is fetched and executed. */
  readonly bringUp?: Amount;
  /** Nothing: this DR keeps no log to rewind by. */
  readonly rewind?: RewindStatus;
  readonly promotion?: PromotionResult;
  /** Of the volume that was given back, or is being, since this process leads. */
  readonly failback?: FailbackStatus;
}

export interface FailbackStatus {
  /** `copying`: while the volume is served here; `closing`: writers wait for the switch; `ended`: over, whether it came to it or not. */
  readonly step: 'inviting' | 'copying' | 'closing' | 'handing' | 'ended';
  /** Payload sent to the primary. */
  readonly bytes: number;
  /** To send still, as far as it is known. */
  readonly remainingBytes: number;
  /** Share of the volume that was compared with the primary's, 0 to 1. */
  readonly comparedShare: number;
}

export interface FailbackResult {
  /** In which the DR led. */
  readonly epoch: number;
  /** Payload that was sent to the primary, what was sent again included. */
  readonly bytes: number;
  readonly chunks: number;
  /** Chunks that were different although nothing said that they may be; they were sent, too. */
  readonly unexpected: number;
  /** How long writers waited for the switch, milliseconds. */
  readonly stalledMs: number;
  readonly seconds: number;
}

export type RoleStatus = PrimaryStatus | AuxiliaryStatus | DrStatus;

export interface PromotionResult {
  readonly epoch: number;
  /** The volume is as of this operation. */
  readonly last: number;
  /** Sent by the primary and not arrived when it was lost: fetched from the auxiliary. */
  readonly targets: number;
  /** Queued at the primary when it was lost: fetched from the auxiliary. */
  readonly queued: number;
  readonly seconds: number;
  readonly stale: boolean;
  readonly manifest: Manifest;
}

export interface ProtectEvent {
  readonly at: string;
  readonly kind: string;
  readonly data: Readonly<Record<string, unknown>>;
}

export interface ProtectHooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: ProtectEvent) => void;
}
