import { describe, expect, test } from 'vitest';
import { sameTree } from '../same-tree.ts';
import {
  dwordOf,
  dwordValue,
  type Hive,
  type HiveKey,
  keyAt,
  makeKey,
  multiTextValue,
  REG,
  stringsOf,
  textOf,
  textValue,
  valueAt,
} from '../tree.ts';
import { newBaseBlock } from '../write-hive.ts';
import { mergeSystem } from './merge-system.ts';
import { driverFile } from './services.ts';
import { type WindowsVersion, windowsVersion } from './windows-version.ts';

function key(name: string, ...content: readonly (HiveKey | HiveKey['values'][number])[]): HiveKey {
  return makeKey(name, {
    subkeys: content.filter((one): one is HiveKey => 'subkeys' in one),
    values: content.filter((one): one is HiveKey['values'][number] => 'data' in one),
  });
}
const hive = (root: HiveKey): Hive => ({ minorVersion: 5, baseBlock: newBaseBlock('SYSTEM'), root });
const driver = (name: string, start: number, ...more: Parameters<typeof key>[1][]) =>
  key(name, dwordValue('Type', 1), dwordValue('Start', start), ...more);
const select = (current: number, next = current) =>
  key('Select', dwordValue('Current', current), dwordValue('Default', next), dwordValue('LastKnownGood', 9));
const win10: WindowsVersion = { version: '10.0', build: '19045', kind: 'Client', product: 'Windows 10 Pro' };
const environment = (architecture: string) =>
  key('Session Manager', key('Environment', textValue('PROCESSOR_ARCHITECTURE', architecture)));

function system(set: string, current: number, services: readonly HiveKey[], ...more: HiveKey[]): Hive {
  return hive(
    key(
      'ROOT',
      select(current),
      key(set, key('Control', ...more), key('Enum', key(`of ${set}`)), key('Services', ...services)),
    ),
  );
}
function merged(source: Hive, target: Hive, fileExists: (path: string) => boolean = () => true) {
  return mergeSystem({ hive: source, version: win10 }, { hive: target, version: win10 }, { fileExists });
}

describe('whose keys', () => {
  test('of the current control sets, whatever their numbers, and of the one that is booted next', () => {
    const source = hive(
      key(
        'ROOT',
        select(3, 2),
        ...['ControlSet002', 'controlset003'].map((set) =>
          key(set, key('Control'), key('Enum', key('old')), key('Services')),
        ),
      ),
    );
    const target = system('ControlSet005', 5, [driver('stornvme', 0)]);
    const { hive: result, report } = merged(source, target);
    expect(report.controlSets).toEqual(['controlset003', 'ControlSet002']);
    for (const set of report.controlSets) {
      expect(keyAt(result.root, [set, 'Enum'])?.subkeys.map(({ name }) => name)).toEqual(['of ControlSet005']);
      expect(dwordOf(keyAt(result.root, [set, 'Services', 'StorNVMe']), 'Start')).toBe(0);
    }
    expect(keyAt(result.root, ['ControlSet005'])).toBeUndefined();
    expect(dwordOf(keyAt(result.root, ['Select']), 'Current')).toBe(3);
  });

  test('boot-start drivers whose file is there; others only when a device needs them and the source has none', () => {
    const source = system('ControlSet001', 1, [driver('disk', 0, textValue('Whose', 'source')), driver('mine', 3)]);
    const target = hive(
      key(
        'ROOT',
        select(1),
        key(
          'ControlSet001',
          key('Control'),
          key('Enum', key('PCI', key('a', textValue('Service', 'NetKvm')), key('b', textValue('Service', 'mine')))),
          key(
            'Services',
            driver('DISK', 0, textValue('Whose', 'target')),
            driver('gone', 0),
            driver('netkvm', 3),
            driver('mine', 3, textValue('Whose', 'target')),
            driver('unused', 3),
            key('app', dwordValue('Type', 0x10), dwordValue('Start', 0)),
          ),
        ),
      ),
    );
    const { hive: result, report } = merged(source, target, (path) => !/gone/i.test(path));
    const services = keyAt(result.root, ['ControlSet001', 'Services']);
    expect(services?.subkeys.map(({ name }) => name)).toEqual(['DISK', 'mine', 'netkvm']);
    expect(textOf(keyAt(services, ['disk']), 'Whose')).toBe('target');
    expect(textOf(keyAt(services, ['mine']), 'Whose')).toBeUndefined();
    expect(report.skipped).toContainEqual({
      path: 'ControlSet001\\Services\\gone',
      why: 'file-missing',
      what: 'System32\\drivers\\gone.sys',
    });
    expect(report.bootDrivers).toEqual([
      { service: 'DISK', group: undefined, file: 'System32\\drivers\\DISK.sys', devices: [] },
    ]);
  });

  test('both hives stay as they were', () => {
    const make = () =>
      system(
        'ControlSet001',
        1,
        [driver('VMTools', 2), driver('disk', 0)],
        key('Class', key('{x}', multiTextValue('UpperFilters', ['gone']))),
      );
    const [source, target] = [make(), make()];
    const { report } = merged(source, target, () => true);
    expect(report.taken.length).toBeGreaterThan(2);
    expect(sameTree(source.root, make().root)).toBeUndefined();
    expect(sameTree(target.root, make().root)).toBeUndefined();
  });
});

describe('what would keep it from booting', () => {
  test('filters without a service go, the others stay in their order', () => {
    const classes = key(
      'Class',
      key(
        '{disk}',
        multiTextValue('lowerfilters', ['prl_strg', 'partmgr', 'nobody']),
        multiTextValue('UpperFilters', ['nobody']),
      ),
    );
    const target = system('ControlSet001', 1, [driver('partmgr', 0), driver('prl_strg', 4)], classes);
    const { hive: result, report } = merged(system('ControlSet001', 1, []), target);
    const disk = keyAt(result.root, ['ControlSet001', 'Control', 'Class', '{disk}']);
    expect(stringsOf(valueAt(disk, 'LowerFilters')!)).toEqual(['partmgr']);
    expect(valueAt(disk, 'UpperFilters')).toBeUndefined();
    expect(report.skipped.filter(({ why }) => why === 'filter-without-service').map(({ what }) => what)).toEqual([
      'nobody',
      'prl_strg',
      'nobody',
    ]);
  });

  test('tools of the source’s hypervisor do not start, unless the target has them too', () => {
    const source = system('ControlSet001', 1, [
      driver('vmtools', 2),
      driver('prl_strg', 0),
      driver('VBoxGuest', 4),
      driver('rhelscsi', 0),
      driver('QEMU-GA', 2),
    ]);
    const target = system('ControlSet001', 1, [driver('disk', 0), driver('qemu-ga', 2), driver('RHELSCSI', 4)]);
    const { hive: result, report } = merged(source, target);
    const start = (name: string) => dwordOf(keyAt(result.root, ['ControlSet001', 'Services', name]), 'Start');
    expect(['VMTools', 'prl_strg', 'VBoxGuest', 'rhelscsi', 'QEMU-GA'].map(start)).toEqual([4, 4, 4, 4, 2]);
    expect(
      report.switchedOff.map(({ path, hypervisor, started }) => [path.split('\\')[2], hypervisor, started]),
    ).toEqual([
      ['rhelscsi', 'Xen', 0],
      ['prl_strg', 'Parallels', 0],
      ['vmtools', 'VMware', 2],
    ]);
  });
});

describe('the same Windows, or none of it', () => {
  const [source, target] = [
    system('ControlSet001', 1, [], environment('AMD64')),
    system('ControlSet001', 1, [], environment('amd64')),
  ];
  const versions =
    (a: WindowsVersion | undefined, b: WindowsVersion | undefined, isSameWindows = false) =>
    () =>
      mergeSystem(
        { hive: source, version: a },
        { hive: target, version: b },
        { fileExists: () => true, isSameWindows },
      );
  const refusal = expect.objectContaining({ code: 'GW2304' });

  test('by what SOFTWARE says', () => {
    expect(versions(win10, { ...win10, product: 'Windows 10 Home' })).not.toThrow();
    for (const other of [{ build: '19044' }, { version: '6.3' }, { kind: 'Server' }]) {
      expect(versions(win10, { ...win10, ...other })).toThrow(refusal);
      expect(versions(win10, { ...win10, ...other }, true)).toThrow(refusal);
    }
  });

  test('not known is not the same, unless somebody says so', () => {
    expect(versions(win10, undefined)).toThrow(refusal);
    expect(versions(undefined, undefined)).toThrow(refusal);
    expect(versions(undefined, undefined, true)).not.toThrow();
  });

  test('by what SYSTEM says', () => {
    const options = { fileExists: () => true, isSameWindows: true };
    const arm = system('ControlSet001', 1, [], environment('ARM64'));
    expect(() => mergeSystem({ hive: source }, { hive: arm }, options)).toThrow(refusal);
    const newer = hive({ ...target.root, subkeys: [...target.root.subkeys, key('DriverDatabase')] });
    expect(() => mergeSystem({ hive: source }, { hive: newer }, options)).toThrow(refusal);
    const noSystem = hive(key('ROOT', select(1)));
    expect(() => mergeSystem({ hive: noSystem }, { hive: target }, options)).toThrow(
      expect.objectContaining({ code: 'GW2305' }),
    );
  });

  test('read from a SOFTWARE hive, new and old', () => {
    const software = (...values: HiveKey['values']) =>
      key('ROOT', key('Microsoft', key('Windows NT', key('CurrentVersion', ...values))));
    const common = [
      textValue('CurrentVersion', '6.3'),
      textValue('CurrentBuildNumber', '20348'),
      textValue('InstallationType', 'Server Core'),
    ];
    expect(
      windowsVersion(
        software(...common, dwordValue('CurrentMajorVersionNumber', 10), dwordValue('CurrentMinorVersionNumber', 0)),
      ),
    ).toEqual({
      version: '10.0',
      build: '20348',
      kind: 'Server',
      product: undefined,
    });
    expect(windowsVersion(software(...common))).toMatchObject({ version: '6.3' });
    expect(windowsVersion(key('ROOT'))).toBeUndefined();
  });
});

test.each([
  [undefined, 'System32\\drivers\\x.sys'],
  ['system32\\DRIVERS\\a.sys', 'system32\\DRIVERS\\a.sys'],
  ['\\SystemRoot\\System32\\drivers\\a.sys', 'System32\\drivers\\a.sys'],
  ['%SystemRoot%\\System32\\drivers\\a.sys', 'System32\\drivers\\a.sys'],
  ['\\??\\C:\\Windows\\System32\\a.sys', 'System32\\a.sys'],
  [
    'System32\\DriverStore\\FileRepository\\a.inf_amd64\\a.sys',
    'System32\\DriverStore\\FileRepository\\a.inf_amd64\\a.sys',
  ],
  ['\\??\\D:\\elsewhere\\a.sys', undefined],
  ['\\Device\\Harddisk0\\a.sys', undefined],
])('the file of ImagePath %j is %j', (image, file) => {
  const service = key('x', ...(image === undefined ? [] : [textValue('ImagePath', image, REG.expandSz)]));
  expect(driverFile(service)).toBe(file);
});
