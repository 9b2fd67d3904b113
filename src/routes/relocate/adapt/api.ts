/** What `godwit relocate adapt` takes and answers; programs read it as JSON. */
import type { Hardware } from '../../../adapters/linux-boot/index.ts';
import type { Finding } from '../../../kernel/finding.ts';

export interface AdaptOptions {
  /** The root of the moved system, with its file systems mounted as it is to have them. */
  readonly root: string;
  /** A description of the target; this machine where it is absent. */
  readonly hardware: Hardware | undefined;
  /** Which card of the target, by its address, stands for a card of the configuration, by name or old address. */
  readonly nics: ReadonlyMap<string, string>;
  /** Devices that are its swap areas. */
  readonly swaps: readonly string[];
  readonly isDryRun: boolean;
}

/** One file of the moved system, and what is done to it, in words. */
export interface AdaptChange {
  readonly path: string;
  readonly notes: readonly string[];
}

/** A program of the moved system. */
export interface AdaptCommand {
  readonly command: string;
  readonly seconds: number;
}

export interface AdaptResult {
  readonly version: 1;
  readonly command: 'adapt';
  readonly dryRun: boolean;
  readonly root: string;
  readonly distribution: string;
  readonly hardware: Hardware;
  readonly kernels: readonly { readonly version: string; readonly modules: readonly string[] }[];
  readonly changes: readonly AdaptChange[];
  /** Programs that were run, or would be. */
  readonly commands: readonly AdaptCommand[];
  /** What is kept as it was, so that it is the same system: machine-id, host keys. */
  readonly kept: readonly string[];
  readonly findings: readonly Finding[];
  /** Where the record and what was replaced lie. */
  readonly record: string;
}

export interface UndoResult {
  readonly version: 1;
  readonly command: 'adapt --undo';
  readonly root: string;
  readonly restored: readonly string[];
}

export interface LoadResult {
  readonly version: 1;
  readonly command: 'load';
  readonly dryRun: boolean;
  readonly root: string;
  readonly kernel: string;
  readonly initramfs: string | undefined;
  /** What the kernel is told. */
  readonly words: string;
}

export type AdaptEvent =
  | { readonly type: 'event'; readonly kind: 'changed'; readonly path: string; readonly notes: readonly string[] }
  | { readonly type: 'event'; readonly kind: 'runs'; readonly command: string };

export interface AdaptHooks {
  readonly signal: AbortSignal;
  readonly onEvent: (event: AdaptEvent) => void;
}

/** This part of the route as the command uses it. */
export interface AdaptRoute {
  adapt(options: AdaptOptions, hooks: AdaptHooks): Promise<AdaptResult>;
  undo(root: string): UndoResult;
  /** Hands the kernel of a moved system to the one that runs, for `systemctl kexec`. */
  load(root: string, isDryRun: boolean): LoadResult;
  /** The machine that this runs on, as far as the disks of these devices need it; all disks where none is named. */
  hardware(devices: readonly string[]): Promise<Hardware>;
}
