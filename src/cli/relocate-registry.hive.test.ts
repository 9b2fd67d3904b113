/** The command on files, from the command line to a hive that hivex opens. */
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeAll, beforeEach, expect, test } from 'vitest';
import { dirtyHive } from '../../test/hive/dirty-hive.ts';
import { digestOf, hivexDigests } from '../../test/hive/hivex-judge.ts';
import { requireJudges } from '../../test/hive/install-judges.ts';
import { randomPair } from '../../test/hive/random-system.ts';
import { Rng } from '../../test/torture/rng.ts';
import { readHive, writeHive } from '../adapters/windows-registry/index.ts';
import { dwordValue, KEY, makeKey, textValue } from '../adapters/windows-registry/tree.ts';
import { newBaseBlock } from '../adapters/windows-registry/write-hive.ts';
import type { RegistryMergeResult } from '../routes/relocate/registry/api.ts';
import * as route from '../routes/relocate/registry/index.ts';
import { runProgram } from './program.ts';

let dir = '';
beforeAll(requireJudges);
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'godwit-registry-'));
  for (const side of ['source', 'target']) mkdirSync(join(dir, side));
  const { source, target } = pairWithDrivers();
  writeFileSync(join(dir, 'source', 'SYSTEM'), writeHive(source));
  writeFileSync(join(dir, 'target', 'system'), writeHive(target));
  for (const file of [join(dir, 'source', 'SOFTWARE'), join(dir, 'target', 'Software')])
    writeFileSync(file, software('19045'));
  mkdirSync(join(dir, 'drivers'));
  for (const name of ['ViOsToR', 'vioscsi', 'stornvme', 'storahci', 'disk', 'partmgr', 'volsnap', 'Acme', 'netkvm']) {
    writeFileSync(join(dir, 'drivers', `${name}.SYS`), '');
  }
});
afterEach(() => rmSync(dir, { recursive: true, force: true }));

/** A pair whose target has boot-start drivers. */
function pairWithDrivers() {
  const pair = randomPair(new Rng(12));
  for (const set of pair.target.root.subkeys.filter(({ name }) => /^controlset/i.test(name))) {
    const services = set.subkeys.find(({ name }) => name === 'Services')!;
    services.subkeys = services.subkeys.filter(({ name }) => name.toLowerCase() !== 'viostor');
    services.subkeys.push(makeKey('viostor', { values: [dwordValue('Type', 1), dwordValue('Start', 0)] }));
  }
  return pair;
}

function software(build: string): Buffer {
  const values = [
    textValue('CurrentVersion', '6.3'),
    textValue('CurrentBuildNumber', build),
    dwordValue('CurrentMajorVersionNumber', 10),
  ];
  const version = makeKey('CurrentVersion', { values });
  const root = makeKey('ROOT', {
    flags: KEY.root,
    subkeys: [makeKey('Microsoft', { subkeys: [makeKey('Windows NT', { subkeys: [version] })] })],
  });
  return writeHive({ minorVersion: 5, baseBlock: newBaseBlock('SOFTWARE'), root });
}

async function merge(...more: readonly string[]) {
  let [out, err] = ['', ''];
  const at = (...names: string[]) => join(dir, ...names);
  const words = [
    '--source',
    at('source', 'SYSTEM'),
    '--target',
    at('target', 'system'),
    '--drivers',
    at('drivers'),
    '--out',
    at('out'),
  ];
  const code = await runProgram(['relocate', 'registry', 'merge', ...words, ...more], {
    io: {
      out: (text) => {
        out += text;
      },
      err: (text) => {
        err += text;
      },
      env: {},
      isTerminal: false,
      isErrTerminal: false,
      size: () => ({ columns: 100, rows: 40 }),
    },
    signal: new AbortController().signal,
    version: 'test',
    loadMigrate: () => Promise.reject(new Error('another route')),
    loadRemodel: () => Promise.reject(new Error('another route')),
    loadProtect: () => Promise.reject(new Error('another route')),
    loadRelocate: () => Promise.reject(new Error('another route')),
    loadAdapt: () => Promise.reject(new Error('another part')),
    loadRegistry: async () => route,
    loadRehearse: () => Promise.reject(new Error('another part')),
  });
  return { code, out, err };
}

test('merges, says what it did, and hivex reads the result', async () => {
  const { code, out, err } = await merge('--json');
  expect([code, err]).toEqual([0, '']);
  const result = JSON.parse(out) as RegistryMergeResult;
  expect(result).toMatchObject({
    command: 'registry merge',
    dryRun: false,
    source: { windows: { build: '19045', version: '10.0' } },
  });
  expect(result.report.bootDrivers.map(({ service }) => service)).toContain('viostor');
  const bytes = readFileSync(join(dir, 'out'));
  expect(bytes.length).toBe(result.bytes);
  expect(await hivexDigests([join(dir, 'out')])).toEqual([digestOf(readHive(bytes).root)]);
  expect(statSync(join(dir, 'out')).mode & 0o777).toBe(0o600);
  expect(readdirSync(dir).sort()).toEqual(['drivers', 'out', 'source', 'target']);

  const again = await merge();
  expect(again).toMatchObject({ code: 2, out: '' });
  expect(again.err).toContain('GW1005');
  const forced = await merge('--force');
  expect(forced.code).toBe(0);
  expect(forced.out).toMatch(/Drivers that start with Windows\n(.*\n)* {2}viostor {2}System32\\drivers\\viostor\.sys/);
  expect(readFileSync(join(dir, 'out')).equals(bytes)).toBe(true);
});

test('a dry run writes nothing', async () => {
  const { code, out } = await merge('--dry-run', '--json');
  expect([code, (JSON.parse(out) as RegistryMergeResult).dryRun]).toEqual([0, true]);
  expect(existsSync(join(dir, 'out'))).toBe(false);
});

test('refuses, with a code and without a file', async () => {
  const refused = async (wanted: string, ...more: readonly string[]) => {
    const { code, out } = await merge('--json', ...more);
    expect(code).not.toBe(0);
    expect(JSON.parse(out)).toMatchObject({ error: { code: wanted } });
    expect(existsSync(join(dir, 'out'))).toBe(false);
  };
  writeFileSync(join(dir, 'target', 'Software'), software('22631'));
  await refused('GW2304');
  await refused('GW2304', '--same-windows');
  rmSync(join(dir, 'target', 'Software'));
  await refused('GW2304');
  expect((await merge('--same-windows', '--dry-run')).code).toBe(0);
  await refused('GW2305', '--same-windows', '--drivers', join(dir, 'source'));
  await refused('GW1001', '--same-windows', '--drivers', join(dir, 'nowhere'));
  await refused('GW1001', '--source', join(dir, 'nowhere'));
  await refused('GW2301', '--source', join(dir, 'drivers', 'disk.SYS'));
  writeFileSync(join(dir, 'source', 'SYSTEM'), dirtyHive(new Rng(1), 'new').primary);
  await refused('GW2303');
});

test('a dirty hive takes its logs along, and its files stay as they are', async () => {
  const { primary, logs } = dirtyHive(new Rng(4), 'new');
  writeFileSync(join(dir, 'source', 'SYSTEM'), primary);
  for (const { name, bytes } of logs) writeFileSync(join(dir, 'source', name.toLowerCase()), bytes);
  // It is a whole hive then, though none of a system.
  const { out } = await merge('--json');
  expect(JSON.parse(out)).toMatchObject({ error: { code: 'GW2305', message: expect.stringContaining('Select') } });
  expect(readFileSync(join(dir, 'source', 'SYSTEM')).equals(primary)).toBe(true);
});
