/** Whether two systems are the same Windows: the precondition of taking drivers from the one into the other. */
import { GodwitError } from '../../../kernel/errors.ts';
import { dwordOf, type HiveKey, keyAt, subkey, textOf } from '../tree.ts';
import { currentControlSet } from './control-set.ts';

/** Where a SOFTWARE hive says what it belongs to. */
export const VERSION_KEY = ['Microsoft', 'Windows NT', 'CurrentVersion'] as const;

export interface WindowsVersion {
  /** For example `10.0`. */
  readonly version: string;
  readonly build: string;
  /** `Client` or `Server`; undefined where Windows is too old to say. */
  readonly kind: string | undefined;
  /** For people: `Windows Server 2022 Standard`. */
  readonly product: string | undefined;
}

/** From the root of a SOFTWARE hive; undefined where it does not say. */
export function windowsVersion(software: HiveKey): WindowsVersion | undefined {
  const key = keyAt(software, VERSION_KEY);
  const [major, minor] = [dwordOf(key, 'CurrentMajorVersionNumber'), dwordOf(key, 'CurrentMinorVersionNumber')];
  const version = major === undefined ? textOf(key, 'CurrentVersion') : `${major}.${minor ?? 0}`;
  const build = textOf(key, 'CurrentBuildNumber') ?? textOf(key, 'CurrentBuild');
  if (!version || !build) return undefined;
  const kind = textOf(key, 'InstallationType');
  return { version, build, kind: kind?.startsWith('Server') ? 'Server' : kind, product: textOf(key, 'ProductName') };
}

export interface System {
  /** Root of its SYSTEM hive. */
  readonly root: HiveKey;
  readonly version: WindowsVersion | undefined;
}

/** GW2304 unless both are the same Windows; `isAssured`: somebody vouches for what the hives do not say. */
export function requireSameWindows(source: System, target: System, isAssured: boolean): void {
  const facts = [
    ['processor architecture', architecture(source.root, 'source'), architecture(target.root, 'target')],
    ['driver database', database(source.root), database(target.root)],
    ['version', source.version?.version, target.version?.version],
    ['build', source.version?.build, target.version?.build],
    ['kind', source.version?.kind, target.version?.kind],
  ] as const;
  for (const [what, of, other] of facts) {
    if (of !== undefined && other !== undefined && of.toUpperCase() !== other.toUpperCase()) {
      throw new GodwitError('GW2304', `The source has the ${what} ${of}, the target ${other}`);
    }
  }
  if (isAssured || (source.version && target.version)) return;
  const which = source.version ? 'target' : target.version ? 'source' : 'source and target';
  throw new GodwitError('GW2304', `Which Windows ${which} has is not known: there is no hive SOFTWARE that says it`);
}

function architecture(root: HiveKey, whose: string): string | undefined {
  const set = currentControlSet(root, whose);
  return textOf(keyAt(root, [set, 'Control', 'Session Manager', 'Environment']), 'PROCESSOR_ARCHITECTURE');
}

/** Windows 8 replaced one kind of database by another: a system with and one without cannot be the same. */
function database(root: HiveKey): string {
  return subkey(root, 'DriverDatabase') ? 'of Windows 8 and newer' : 'of Windows 7 and older';
}
