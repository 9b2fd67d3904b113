/** What `godwit relocate registry merge` takes and answers; programs read it as JSON. */
import type { MergeReport, WindowsVersion } from '../../../adapters/windows-registry/index.ts';

export interface RegistryMergeOptions {
  /** SYSTEM hives; their logs and SOFTWARE are looked for in the same folder. */
  readonly source: string;
  readonly target: string;
  /** System32\drivers as it will be when the result boots. */
  readonly drivers: string;
  readonly out: string;
  readonly isDryRun: boolean;
  /** May replace a file. */
  readonly isForced: boolean;
  /** Somebody vouches for what no SOFTWARE hive says. */
  readonly isSameWindows: boolean;
}

export interface HiveSide {
  readonly file: string;
  /** Logs that were applied in memory, with their entries; the files stay as they are. */
  readonly replayed: readonly { readonly log: string; readonly entries: number }[];
  readonly windows: WindowsVersion | undefined;
}

export interface RegistryMergeResult {
  readonly version: 1;
  readonly command: 'registry merge';
  readonly dryRun: boolean;
  readonly out: string;
  /** Size of the result. */
  readonly bytes: number;
  readonly source: HiveSide;
  readonly target: HiveSide;
  readonly report: MergeReport;
}

/** This part of the route as the command uses it. */
export interface RegistryRoute {
  merge(options: RegistryMergeOptions): Promise<RegistryMergeResult>;
}
