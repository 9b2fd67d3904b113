/** Two readers that are not ours read what we write; and we read what they write. */
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { digestOf, hivexDigests } from '../../../test/hive/hivex-judge.ts';
import { requireJudges } from '../../../test/hive/install-judges.ts';
import { wrongWith } from '../../../test/hive/merge-oracle.ts';
import { randomHive } from '../../../test/hive/random-hive.ts';
import { randomPair } from '../../../test/hive/random-system.ts';
import { reglookupDiffers } from '../../../test/hive/reglookup-judge.ts';
import { judge, runPairs } from '../../../test/hive/run-pairs.ts';
import { runCommand } from '../../../test/servers/run-command.ts';
import { Rng } from '../../../test/torture/rng.ts';
import { readHive } from './read-hive.ts';
import { type HiveKey, KEY, keyAt, makeKey, stringsOf, textOf, valueAt } from './tree.ts';
import { newBaseBlock, writeHive } from './write-hive.ts';

/** `npm run chaos:registry -- --pairs N` merges more, and asks reglookup about each. */
const PAIRS = 2_000;

let dir = '';
beforeAll(async () => {
  await requireJudges();
  dir = mkdtempSync(join(tmpdir(), 'godwit-judges-'));
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

function store(name: string, bytes: Buffer): string {
  const file = join(dir, name);
  writeFileSync(file, bytes);
  return file;
}

/** A hive with one key, as nobody but a writer from nothing can make it. */
function seedHive(minorVersion = 5): Buffer {
  const { security } = randomHive(new Rng(1), { keys: 0 }).root;
  const root: HiveKey = makeKey('ROOT', {
    flags: KEY.root | KEY.noDelete,
    security,
    timestamp: 130_000_000_000_000_000n,
  });
  return writeHive({ minorVersion, baseBlock: newBaseBlock('SYSTEM'), root });
}

describe('both judges read what we wrote', () => {
  test('random hives with cells of every kind', async () => {
    const all = Array.from({ length: 100 }, (_, seed) => {
      const rng = new Rng(seed);
      const bytes = writeHive(randomHive(rng, { keys: rng.pick([0, 3, 30, 100, 100, 700]) }));
      return { seed, file: store(`random-${seed}`, bytes), read: readHive(bytes) };
    });
    expect(await judge(all)).toEqual([]);
  }, 300_000);

  test(`${PAIRS} random pairs, merged`, async () => {
    expect(await runPairs(1, PAIRS, { reglookupEvery: 10 })).toEqual({ pairs: PAIRS, wrong: [] });
  }, 600_000);
});

describe('the judges can find fault', () => {
  test('one byte of a value, one second of a time, one entry of a list', async () => {
    const bytes = writeHive(randomHive(new Rng(7), { keys: 40, minorVersion: 5 }));
    const file = store('fault', bytes);
    const { root } = readHive(bytes);
    const withValue = root.subkeys.find(({ values }) => values.some(({ data }) => data.length > 5))!;
    for (const spoil of [
      () => (withValue.values[withValue.values.findIndex(({ data }) => data.length > 5)]!.data[2]! ^= 1),
      () => (withValue.timestamp += 10_000_000n),
      () => withValue.values.pop(),
    ]) {
      spoil();
      expect((await hivexDigests([file]))[0]).not.toBe(digestOf(root));
      expect(await reglookupDiffers(file, { root, minorVersion: 5 })).toBeDefined();
    }
  });

  test('the oracle refuses both hives a merge began with', () => {
    let refused = 0;
    for (let seed = 1; seed <= 50; seed += 1) {
      const pair = randomPair(new Rng(seed));
      if (wrongWith(pair.source.root, pair).length > 0) refused += 1;
      if (wrongWith(pair.target.root, pair).length > 0) refused += 1;
    }
    expect(refused).toBeGreaterThan(95);
  });
});

describe('we read what others wrote', () => {
  test('hivexsh: keys added, values of all kinds, keys deleted', async () => {
    const file = store('hivexsh', seedHive());
    const script = [
      'add ControlSet001',
      'cd ControlSet001',
      'setval 4',
      '@',
      'string:default',
      'Größe',
      'dword:0x12345678',
      'raw',
      'hex:3:01,02,03,04,05,06,07',
      'path',
      'expandstring:%SystemRoot%\\x',
      'add Services',
      'add gone',
      'cd gone',
      'del',
      ...Array.from({ length: 700 }, (_, index) => `add key${index}`),
      'commit',
    ];
    const commands = store('commands', Buffer.from(`${script.join('\n')}\n`));
    const { code, stderr } = await runCommand('hivexsh', ['-w', '-f', commands, file]);
    expect([code, stderr]).toEqual([0, '']);
    const { root } = readHive(await readFile(file));
    const set = keyAt(root, ['ControlSet001']);
    expect(set?.subkeys).toHaveLength(701);
    expect([textOf(set, ''), textOf(set, 'PATH')]).toEqual(['default', '%SystemRoot%\\x']);
    expect(Buffer.from(valueAt(set, 'größe')!.data).readUInt32LE()).toBe(0x12345678);
    expect([...valueAt(set, 'raw')!.data]).toEqual([1, 2, 3, 4, 5, 6, 7]);
    expect(await hivexDigests([file])).toEqual([digestOf(root)]);
    // And written by us it says the same to them.
    expect(await hivexDigests([store('again', writeHive(readHive(await readFile(file))))])).toEqual([digestOf(root)]);
  }, 60_000);

  test.each([3, 4, 5, 6])(
    'hivexregedit: a file merged into a hive of version 1.%i, large data too',
    async (minor) => {
      const file = store(`regedit-${minor}`, seedHive(minor));
      const large = Array.from({ length: 20_000 }, (_, index) => (index % 251).toString(16).padStart(2, '0')).join(',');
      const text = [
        'Windows Registry Editor Version 5.00',
        '',
        '[\\Straße]',
        '',
        '[\\Straße\\Ωmega]',
        `"big"=hex(3):${large}`,
        '"many"=hex(7):61,00,00,00,62,00,00,00,00,00',
        '@="x"',
        '',
      ].join('\n');
      const merged = await runCommand('hivexregedit', [
        '--merge',
        '--encoding',
        'UTF-16LE',
        file,
        store('in.reg', Buffer.from(text)),
      ]);
      expect([merged.code, merged.stderr]).toEqual([0, '']);
      const { root } = readHive(await readFile(file));
      const key = keyAt(root, ['STRAßE', 'ωMEGA']);
      expect(valueAt(key, 'BIG')?.data).toHaveLength(20_000);
      expect(stringsOf(valueAt(key, 'many')!)).toEqual(['a', 'b']);
      expect(textOf(key, '')).toBe('x');
      expect(await hivexDigests([file])).toEqual([digestOf(root)]);
    },
    60_000,
  );
});
