/** What a merge did, as data: the command prints it, programs read it. Paths begin below the hive's root. */

export type Family =
  | 'Enum'
  | 'Control\\Class'
  | 'Control\\DeviceClasses'
  | 'Control\\CriticalDeviceDatabase'
  | 'DriverDatabase'
  | 'MountedDevices'
  | 'HardwareConfig'
  | 'Services';

/** A subtree of the target that stands in the result. */
export interface Taken {
  readonly path: string;
  readonly family: Family;
  /** Whether the source had something there. */
  readonly replaced: boolean;
  readonly keys: number;
  readonly values: number;
}

export type SkipReason =
  /** The target has no such key, so the source's stays as it is. */
  | 'target-lacks-it'
  /** The driver's file is not there: Windows would stop at it. */
  | 'file-missing'
  /** A filter of a class or device whose service is missing or off in the result. */
  | 'filter-without-service';

export interface Skipped {
  readonly path: string;
  readonly why: SkipReason;
  /** The file or the name of the filter. */
  readonly what: string;
}

/** A service of the source's hypervisor that does not start any more. */
export interface SwitchedOff {
  readonly path: string;
  readonly hypervisor: string;
  /** Its `Start` before. */
  readonly started: number;
}

/** A boot-start driver taken from the target, with the devices that the result binds it to. */
export interface BootDriver {
  readonly service: string;
  readonly group: string | undefined;
  readonly file: string;
  /** For example `PCI\VEN_1AF4&DEV_1001&REV_00`. */
  readonly devices: readonly string[];
}

export interface MergeReport {
  readonly source: { readonly controlSet: string };
  readonly target: { readonly controlSet: string };
  /** The control sets of the source that were adapted: its current one, and the one it boots next if that differs. */
  readonly controlSets: readonly string[];
  readonly taken: readonly Taken[];
  readonly skipped: readonly Skipped[];
  readonly switchedOff: readonly SwitchedOff[];
  readonly bootDrivers: readonly BootDriver[];
}
