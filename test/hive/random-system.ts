/** Pairs of SYSTEM hives made up at random, shaped like those of a source and a target that run the same Windows. */
import {
  dwordValue,
  type Hive,
  type HiveKey,
  KEY,
  makeKey,
  multiTextValue,
  REG,
  textValue,
} from '../../src/adapters/windows-registry/tree.ts';
import { newBaseBlock } from '../../src/adapters/windows-registry/write-hive.ts';
import type { Rng } from '../torture/rng.ts';
import { randomDescriptor, randomHive, randomValues } from './random-hive.ts';

export interface RandomPair {
  readonly source: Hive;
  readonly target: Hive;
  /** Upper-case names of the files in System32\drivers. */
  readonly files: ReadonlySet<string>;
}

const DRIVERS = [
  'viostor',
  'vioscsi',
  'stornvme',
  'storahci',
  'netkvm',
  'partmgr',
  'volsnap',
  'disk',
  'Acme',
  'ÄrgerBus',
] as const;
const TOOLS = ['VMTools', 'prl_strg', 'rhelscsi', 'VBoxGuest', 'QEMU-GA'] as const;
const CLASSES = ['{4d36e967-e325-11ce-bfc1-08002be10318}', '{4D36E97B-E325-11CE-BFC1-08002BE10318}'] as const;

export function randomPair(rng: Rng): RandomPair {
  const hasDatabase = rng.chance(0.7);
  const minorVersion = rng.pick([3, 5, 5, 5, 6]);
  const files = new Set(DRIVERS.filter(() => rng.chance(0.7)).map((name) => `${name.toUpperCase()}.SYS`));
  return {
    source: randomSystem(rng.fork(), hasDatabase, minorVersion),
    target: randomSystem(rng.fork(), hasDatabase, minorVersion),
    files,
  };
}

function randomSystem(rng: Rng, hasDatabase: boolean, minorVersion: number): Hive {
  const current = rng.pick([1, 1, 2, 3]);
  const next = rng.chance(0.85) ? current : rng.pick([1, 2, 3]);
  const security = randomDescriptor(rng);
  const sets = [...new Set([current, next, 1])];
  const root = makeKey(rng.pick(['ROOT', 'CMI-CreateHive{2A7FB991-7BBE-4F9D-B91E-7CB51D4737F5}']), {
    flags: KEY.root | KEY.noDelete,
    security,
    timestamp: 130_000_000_000_000_000n + BigInt(rng.int(1e9)),
  });
  const shuffled = rng.shuffled([
    branch('Select', [], [dwordValue('Current', current), dwordValue('Default', next), dwordValue('LastKnownGood', 1)]),
    ...sets.map((number) => controlSet(rng, `ControlSet00${number}`)),
    ...(hasDatabase ? [branch('DriverDatabase', randomChildren(rng), [dwordValue('Version', rng.int(99))])] : []),
    ...(rng.chance(0.9) ? [branch(rng.pick(['MountedDevices', 'mounteddevices']), [], randomValues(rng))] : []),
    ...(rng.chance(0.5) ? [branch('HardwareConfig', randomChildren(rng))] : []),
    branch('Setup', randomChildren(rng), randomValues(rng)),
  ]);
  root.subkeys.push(...shuffled);
  for (const key of all(root)) key.security ??= security;
  return { minorVersion, baseBlock: newBaseBlock('SYSTEM'), root };
}

function controlSet(rng: Rng, name: string): HiveKey {
  const classes = CLASSES.filter(() => rng.chance(0.8)).map((guid) => {
    const filters = ['UpperFilters', 'lowerfilters']
      .filter(() => rng.chance(0.5))
      .map((value) => multiTextValue(value, rng.shuffled([...DRIVERS, ...TOOLS]).slice(0, rng.between(1, 3))));
    return branch(guid, randomChildren(rng), filters);
  });
  const control = branch('Control', [
    branch('Class', classes),
    ...(rng.chance(0.7) ? [branch('DeviceClasses', randomChildren(rng))] : []),
    ...(rng.chance(0.4) ? [branch('CriticalDeviceDatabase', randomChildren(rng))] : []),
    branch('Session Manager', [branch('Environment', [], [textValue('PROCESSOR_ARCHITECTURE', 'AMD64')])]),
    branch('ComputerName', randomChildren(rng), randomValues(rng)),
  ]);
  const devices = rng
    .shuffled(DRIVERS)
    .slice(0, 4)
    .map((service, index) =>
      branch(`VEN_1AF4&DEV_${1000 + index}`, [
        branch(`3&${index}`, [], [textValue('Service', service), ...filterOf(rng)]),
      ]),
    );
  return branch(name, [
    control,
    branch('Enum', [branch('PCI', devices), branch('ROOT', randomChildren(rng))]),
    branch('Services', services(rng)),
    ...(rng.chance(0.5) ? [branch('Policies', randomChildren(rng))] : []),
  ]);
}

function filterOf(rng: Rng) {
  return rng.chance(0.3) ? [multiTextValue('LowerFilters', [rng.pick([...DRIVERS, ...TOOLS, 'nobody'])])] : [];
}

function services(rng: Rng): HiveKey[] {
  const drivers = DRIVERS.filter(() => rng.chance(0.6)).map((name) => {
    const image = rng.pick([
      undefined,
      `system32\\DRIVERS\\${name}.sys`,
      `\\SystemRoot\\System32\\drivers\\${name}.sys`,
      `\\??\\C:\\Windows\\System32\\drivers\\${name}.sys`,
    ]);
    return branch(
      rng.chance(0.9) ? name : name.toUpperCase(),
      rng.chance(0.3) ? [branch('Parameters', [], randomValues(rng))] : [],
      [
        dwordValue('Type', rng.pick([1, 1, 1, 2, 0x20])),
        dwordValue('Start', rng.pick([0, 0, 0, 1, 3, 4])),
        ...(image === undefined ? [] : [textValue('ImagePath', image, REG.expandSz)]),
        textValue('Group', 'SCSI miniport'),
      ],
    );
  });
  const tools = TOOLS.filter(() => rng.chance(0.3)).map((name) =>
    branch(name, [], [dwordValue('Type', 0x10), dwordValue('Start', rng.pick([2, 2, 4]))]),
  );
  const others = randomChildren(rng).map((key) => ({
    ...key,
    values: [dwordValue('Start', 2), dwordValue('Type', 0x20)],
  }));
  return rng.shuffled([...drivers, ...tools, ...others]);
}

function branch(name: string, subkeys: readonly HiveKey[] = [], values: HiveKey['values'] = []): HiveKey {
  return makeKey(name, { subkeys: [...subkeys], values, timestamp: 131_000_000_000_000_000n });
}

/** A few keys with all sorts of values. */
function randomChildren(rng: Rng): HiveKey[] {
  return randomHive(rng, { keys: rng.int(6) }).root.subkeys.map((key) => ({ ...key, name: `x${key.name}` }));
}

function* all(key: HiveKey): Generator<HiveKey> {
  yield key;
  for (const child of key.subkeys) yield* all(child);
}
