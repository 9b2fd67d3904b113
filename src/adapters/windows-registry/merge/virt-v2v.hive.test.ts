/**
 * The keys that virt-v2v writes for storage drivers (the list in ../DESIGN.md) get from a target into the merged hive.
 * hivexregedit writes them into the target and reads them in the result.
 */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, expect, test } from 'vitest';
import { requireJudges } from '../../../../test/hive/install-judges.ts';
import { randomDescriptor } from '../../../../test/hive/random-hive.ts';
import { runCommand } from '../../../../test/servers/run-command.ts';
import { Rng } from '../../../../test/torture/rng.ts';
import { readHive } from '../read-hive.ts';
import { dwordValue, type HiveKey, KEY, makeKey } from '../tree.ts';
import { newBaseBlock, writeHive } from '../write-hive.ts';
import { mergeSystem } from './merge-system.ts';

let dir = '';
beforeAll(async () => {
  await requireJudges();
  dir = mkdtempSync(join(tmpdir(), 'godwit-v2v-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const DRIVERS = {
  viostor: ['VEN_1AF4&DEV_1001&REV_00', 'VEN_1AF4&DEV_1042&REV_01'],
  vrtioblk: ['VEN_1AF4&DEV_1001&REV_00', 'VEN_1AF4&DEV_1042&REV_01'],
  virtio_blk: ['VEN_1AF4&DEV_1001&REV_00', 'VEN_1AF4&DEV_1042&REV_01'],
  vioscsi: ['VEN_1AF4&DEV_1004&REV_00', 'VEN_1AF4&DEV_1048&REV_01'],
  stornvme: ['CC_010802'],
  storahci: ['CC_010601'],
  msahci: ['CC_010601'],
} as const;
const INF = 'guestor.inf';
const LABEL = 'guestor.inf_amd64_0000000000000000';
const GUID = '{4D36E97B-E325-11CE-BFC1-08002BE10318}';

const hex = (bytes: Uint8Array) => [...bytes].map((byte) => byte.toString(16).padStart(2, '0')).join(',');
const text = (type: number, ...words: readonly string[]) => {
  const all = type === 7 ? `${words.map((word) => `${word}\0`).join('')}\0` : `${words[0]}\0`;
  return `hex(${type}):${hex(Buffer.from(all, 'utf16le'))}`;
};
const dword = (number: number) => `dword:${number.toString(16).padStart(8, '0')}`;
const binary = (digits: string) => `hex(3):${hex(Buffer.from(digits, 'hex'))}`;

type Keys = Readonly<Record<string, Readonly<Record<string, string>>>>;

function keySet(driver: keyof typeof DRIVERS, set: string, hasDatabase: boolean): Keys {
  const keys: Record<string, Record<string, string>> = {
    [`${set}\\Services\\${driver}`]: {
      Type: dword(1),
      Start: dword(0),
      Group: text(1, 'SCSI miniport'),
      ErrorControl: dword(1),
      ImagePath: text(2, `system32\\drivers\\${driver}.sys`),
    },
  };
  for (const id of DRIVERS[driver]) {
    if (!hasDatabase) {
      keys[`${set}\\Control\\CriticalDeviceDatabase\\PCI#${id}`] = {
        Service: text(1, driver),
        ClassGUID: text(1, GUID),
      };
      continue;
    }
    const at = 'DriverDatabase';
    keys[`${at}\\DriverInfFiles\\${INF}`] = {
      '@': text(7, LABEL),
      Active: text(1, LABEL),
      Configurations: text(7, 'guestor_conf'),
    };
    keys[`${at}\\DeviceIds\\PCI\\${id}`] = { [INF]: binary('01ff0000') };
    const version = `00ff090000000000${'7be9364d25e3ce11bfc108002be10318'}${'00'.repeat(24)}`;
    keys[`${at}\\DriverPackages\\${LABEL}`] = { Version: binary(version) };
    keys[`${at}\\DriverPackages\\${LABEL}\\Configurations\\guestor_conf`] = {
      ConfigFlags: dword(0),
      Service: text(1, driver),
    };
    keys[`${at}\\DriverPackages\\${LABEL}\\Descriptors\\PCI\\${id}`] = { Configuration: text(1, 'guestor_conf') };
  }
  return keys;
}

/** As a .reg file, with every key on the way: hivexregedit makes none by itself. */
function regFile(keys: Keys): string {
  const all = new Set<string>();
  for (const path of Object.keys(keys)) {
    const names = path.split('\\');
    names.forEach((_, index) => {
      all.add(names.slice(0, index + 1).join('\\'));
    });
  }
  const sections = [...all].sort().map((path) => {
    const values = Object.entries(keys[path] ?? {}).map(
      ([name, value]) => `${name === '@' ? '@' : `"${name}"`}=${value}`,
    );
    return `[\\${path}]\n${values.join('\n')}\n`;
  });
  return `Windows Registry Editor Version 5.00\n\n${sections.join('\n')}\n`;
}

function systemHive(current: number, hasDatabase: boolean): Buffer {
  const set = makeKey(`ControlSet00${current}`, {
    subkeys: [
      makeKey('Control', { subkeys: [makeKey('CriticalDeviceDatabase')] }),
      makeKey('Enum'),
      makeKey('Services'),
    ],
  });
  const select = makeKey('Select', { values: [dwordValue('Current', current), dwordValue('Default', current)] });
  const database: HiveKey[] = hasDatabase ? [makeKey('DriverDatabase')] : [];
  const root = makeKey('ROOT', { flags: KEY.root, subkeys: [select, set, ...database] });
  // hivex gives a new key the descriptor of its parent, so each needs one.
  const security = randomDescriptor(new Rng(1));
  const secure = (key: HiveKey): void => {
    key.security = security;
    key.subkeys.forEach(secure);
  };
  secure(root);
  return writeHive({ minorVersion: 5, baseBlock: newBaseBlock('SYSTEM'), root });
}

const CASES = (Object.keys(DRIVERS) as (keyof typeof DRIVERS)[]).flatMap((driver) => [
  { driver, hasDatabase: true },
  { driver, hasDatabase: false },
]);

test.each(CASES)('the keys for $driver, driver database: $hasDatabase', async ({ driver, hasDatabase }) => {
  const [target, reg, out] = ['target', 'keys.reg', 'merged'].map((name) =>
    join(dir, `${driver}-${hasDatabase}-${name}`),
  ) as [string, string, string];
  writeFileSync(target, systemHive(2, hasDatabase));
  writeFileSync(reg, regFile(keySet(driver, 'ControlSet002', hasDatabase)));
  const written = await runCommand('hivexregedit', ['--merge', target, reg]);
  expect([written.code, written.stderr]).toEqual([0, '']);

  const { hive, report } = mergeSystem(
    { hive: readHive(systemHive(1, hasDatabase)) },
    { hive: readHive(await readFile(target)) },
    { isSameWindows: true, fileExists: (path) => path.toLowerCase() === `system32\\drivers\\${driver}.sys` },
  );
  writeFileSync(out, writeHive(hive));
  const { stdout } = await runCommand('hivexregedit', ['--export', out, '\\']);
  const sections = new Map(stdout.split(/\n(?=\[)/).map((section) => [section.split('\n')[0], section.split('\n')]));
  for (const [path, values] of Object.entries(keySet(driver, 'ControlSet001', hasDatabase))) {
    const lines = sections.get(`[\\${path}]`);
    expect(lines, path).toBeDefined();
    for (const [name, value] of Object.entries(values)) {
      expect(lines).toContain(`${name === '@' ? '@' : `"${name}"`}=${value}`);
    }
  }
  expect(report.bootDrivers).toEqual([
    {
      service: driver,
      group: 'SCSI miniport',
      file: `system32\\drivers\\${driver}.sys`,
      devices: DRIVERS[driver].map((id) => `PCI\\${id}`),
    },
  ]);
});
