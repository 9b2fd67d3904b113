/** What `godwit relocate rehearse` takes and answers; programs read it as JSON. */

import type { Between } from '../hold.ts';

/** One question to the clone, and how it is asked. */
export type Probe =
  /** A status below 400. The name in it becomes the Host header; whatever it is, the clone is asked. */
  | { readonly kind: 'http'; readonly text: string; readonly url: URL; readonly port: number }
  /** Somebody listens. */
  | { readonly kind: 'tcp'; readonly text: string; readonly port: number }
  /** A command of the shell that ends with 0 inside of the clone. */
  | { readonly kind: 'exec'; readonly text: string; readonly command: string };

export interface RehearseOptions {
  /** The root of the moved system, with its file systems mounted as it is to have them. */
  readonly root: string;
  /** Of the receiver. */
  readonly state: string;
  /** Where the clone keeps what it writes; beside the root's file systems. */
  readonly work: string;
  readonly probes: readonly Probe[];
  /** Seconds from the start of the clone until everything must have answered. */
  readonly timeout: number;
  /** The clone's address, with its prefix; otherwise the one that its files name, or one by DHCP. */
  readonly address: string | undefined;
  readonly megabytes: number;
  readonly accelerator: 'auto' | 'kvm' | 'tcg';
}

export interface ProbeResult {
  readonly probe: string;
  readonly ok: boolean;
  /** After the start of the clone. */
  readonly seconds?: number;
  /** What it answered, or why it does not, the last time. */
  readonly detail: string;
}

export interface RehearseResult {
  readonly version: 1;
  readonly command: 'rehearse';
  readonly outcome: 'passed' | 'failed';
  readonly because?: string;
  readonly root: string;
  readonly distribution: string;
  readonly kernel: string;
  readonly accelerator: 'kvm' | 'tcg';
  /** Files of the clone that were others than those of the moved system. */
  readonly laid: readonly string[];
  /** Whether the clone is what a whole round of the source left. `no`: the source was cut off in the middle of one. */
  readonly betweenRounds: Between;
  /** What its systemd says of the boot as a whole: running, degraded … */
  readonly system?: { readonly state: string; readonly seconds: number };
  readonly failedUnits: readonly string[];
  readonly probes: readonly ProbeResult[];
  /** Everything the clone said on its serial line; kept when it failed. */
  readonly serial?: string;
  /** Its end. */
  readonly lastWords?: readonly string[];
  /** For so long the source had to wait. */
  readonly heldSeconds: number;
  readonly durationSeconds: number;
}

export type RehearseEvent =
  | { readonly type: 'event'; readonly kind: 'waiting' }
  | { readonly type: 'event'; readonly kind: 'held'; readonly seconds: number; readonly by: 'receiver' | 'lock' }
  | { readonly type: 'event'; readonly kind: 'initramfs'; readonly kernel: string; readonly seconds: number }
  | { readonly type: 'event'; readonly kind: 'cloned'; readonly devices: readonly string[] }
  | { readonly type: 'event'; readonly kind: 'started'; readonly accelerator: 'kvm' | 'tcg' }
  | { readonly type: 'event'; readonly kind: 'kernel' | 'init'; readonly seconds: number }
  | { readonly type: 'event'; readonly kind: 'system'; readonly state: string; readonly seconds: number }
  | { readonly type: 'event'; readonly kind: 'probe'; readonly probe: string; readonly seconds: number };

export interface RehearseProgress {
  readonly seconds: number;
  readonly timeout: number;
  readonly probes: readonly ProbeResult[];
  /** The last line that the clone said. */
  readonly said: string;
}

export interface RehearseHooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: RehearseEvent) => void;
  readonly onProgress: (progress: RehearseProgress) => void;
}

/** This part of the route as the command uses it. */
export interface RehearseRoute {
  rehearse(options: RehearseOptions, hooks: RehearseHooks): Promise<RehearseResult>;
  parseProbe(text: string): Probe;
}
