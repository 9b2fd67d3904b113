import type { Mapping } from '../source/roots.ts';

/** Both sides must say the same. */
export const PROTOCOL = 3;

/** From the source, first of all. */
export interface Hello {
  readonly protocol: number;
  /** Which move this is: the name under which the target remembers it. */
  readonly move: string;
  readonly mappings: readonly Mapping[];
}

/** The target's answer. */
export interface Welcome {
  /** The last bundle that need not come again. */
  readonly done: number;
  /** Of the running kernel: both sides on one machine have the same. */
  readonly boot: string;
  /** Identities, in base64, of what the target's directories are on its machine: they are not to be copied into themselves. */
  readonly own: readonly string[];
  readonly services: TargetServices;
  /** The root held files before this move: what is equal there already need not come. */
  readonly replaces: boolean;
}

/** How a proof is to be made. */
export interface Proving {
  /** Whether the target sends its list, name by name, or only the hashes of its trees. */
  readonly listing: boolean;
  /** Whether everything is read, also what cannot have changed since it was read the last time. */
  readonly fresh: boolean;
}

/**
 * What is known of the services of the target. `none`: nobody said how they are
 * started. `unsure`: a command that starts or stops them has not ended well.
 */
export interface TargetServices {
  readonly state: 'none' | 'stopped' | 'unsure' | 'running';
  /** The number of the cutover that changed it last. */
  readonly turn: number;
}

/** Asks the target to start or stop its services. */
export interface Serve {
  readonly want: 'running' | 'stopped';
  /** The number of the cutover: what an older one asks is refused. */
  readonly turn: number;
}

/** The target's part of the certificate, after its listing. */
export interface TargetListed {
  readonly entries: number;
  readonly bytes: number;
  readonly roots: readonly string[];
}

/** Why the other side cannot go on. */
export interface Failed {
  readonly code: string;
  readonly message: string;
  readonly details: Record<string, string | number | boolean | null>;
}
