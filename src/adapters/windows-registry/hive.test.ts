import { describe, expect, test } from 'vitest';
import { randomHive } from '../../../test/hive/random-hive.ts';
import { Rng } from '../../../test/torture/rng.ts';
import { baseBlockSum } from './base-block.ts';
import { compareUpper, nameHash, nameHint, sameName, upperName } from './names.ts';
import { readHive } from './read-hive.ts';
import { sameTree } from './same-tree.ts';
import { countTree, type HiveKey, KEY, keyAt, makeKey, multiTextValue, stringsOf, textOf, textValue } from './tree.ts';
import { newBaseBlock, writeHive } from './write-hive.ts';

function hiveOf(root: HiveKey, minorVersion = 5) {
  return { minorVersion, baseBlock: newBaseBlock('SYSTEM'), root };
}
const root = (over: Partial<HiveKey> = {}) => makeKey('ROOT', { flags: KEY.root | KEY.noDelete, ...over });

describe('what is written is read', () => {
  test.each(Array.from({ length: 60 }, (_, seed) => seed))('a random hive, seed %i', (seed) => {
    const rng = new Rng(seed);
    const hive = randomHive(rng, { keys: rng.pick([0, 1, 20, 300, 1200]), hasOddNames: true });
    const bytes = writeHive(hive);
    const again = readHive(bytes);
    expect(sameTree(hive.root, again.root)).toBeUndefined();
    expect(again.minorVersion).toBe(hive.minorVersion);
    expect(bytes.length % 4096).toBe(0);
    // Written once more it is the same file but for the sequence numbers.
    const twice = writeHive(again);
    expect(twice.readUInt32LE(4)).toBe(bytes.readUInt32LE(4) + 1);
    expect(twice.subarray(4096).equals(bytes.subarray(4096))).toBe(true);
  });

  test.each([3, 4, 5, 6])('lists and large data are of the kind that 1.%i has', (minorVersion) => {
    const data = Buffer.alloc(16345, 7);
    const crowd = Array.from({ length: 1100 }, (_, index) => makeKey(`k${index}`));
    const tree = root({ subkeys: crowd, values: [{ name: 'large', type: 3, data, flags: 0 }] });
    const text = writeHive(hiveOf(tree, minorVersion)).toString('latin1');
    expect(text.includes('\xfflh')).toBe(minorVersion > 4);
    expect(text.includes('\xfflf')).toBe(minorVersion <= 4);
    expect(text.includes('\xffdb\x02\0')).toBe(minorVersion > 3);
    expect(text.includes('\xffri\x03\0')).toBe(true);
  });

  test('a tree as deep as Windows allows, and not a level more', () => {
    const deep = (levels: number): HiveKey => {
      let key = makeKey('leaf');
      for (let level = 1; level < levels; level += 1) key = makeKey('k', { subkeys: [key] });
      return root({ subkeys: [key] });
    };
    expect(countTree(readHive(writeHive(hiveOf(deep(512)))).root).keys).toBe(513);
    expect(() => writeHive(hiveOf(deep(513)))).toThrow(expect.objectContaining({ code: 'GW2305' }));
  });

  test('only the corner that is asked for', () => {
    const hive = hiveOf(
      root({
        subkeys: [
          makeKey('Microsoft', {
            subkeys: [makeKey('A', { values: [textValue('x', 'y')], subkeys: [makeKey('B')] }), makeKey('C')],
          }),
          makeKey('Other', { subkeys: [makeKey('D')] }),
        ],
      }),
    );
    const read = readHive(writeHive(hive), { only: ['microsoft', 'a'] });
    expect(countTree(read.root).keys).toBe(4);
    expect(textOf(keyAt(read.root, ['MICROSOFT', 'a']), 'X')).toBe('y');
  });

  test('little is wasted', () => {
    const hive = randomHive(new Rng(5), { keys: 4000, minorVersion: 5 });
    const bytes = writeHive(hive);
    let free = 0;
    for (let bin = 4096; bin < bytes.length; bin += bytes.readUInt32LE(bin + 8)) {
      for (let at = bin + 32; at < bin + bytes.readUInt32LE(bin + 8); at += Math.abs(bytes.readInt32LE(at))) {
        if (bytes.readInt32LE(at) > 0) free += bytes.readInt32LE(at);
      }
    }
    expect(free / bytes.length).toBeLessThan(0.02);
  });
});

test('descriptors are shared, counted and in a ring', () => {
  const one = Buffer.from('one descriptor');
  const tree = root({
    security: one,
    subkeys: [
      makeKey('a', { security: Buffer.from('one descriptor') }),
      makeKey('b', { security: Buffer.from('other') }),
      makeKey('c'),
    ],
  });
  const bytes = writeHive(hiveOf(tree));
  const cells = [...bytes.toString('latin1').matchAll(/[\x80-\xff]sk\0\0/g)].map(({ index }) => index + 1);
  expect(cells.map((at) => bytes.readUInt32LE(at + 12))).toEqual([2, 1]);
  const offsets = cells.map((at) => at - 4 - 4096);
  expect(cells.map((at) => bytes.readUInt32LE(at + 4))).toEqual(offsets.toReversed());
  expect(cells.map((at) => bytes.readUInt32LE(at + 8))).toEqual(offsets.toReversed());
});

test('the writer refuses what readers would take apart differently', () => {
  const twins = root({ subkeys: [makeKey('Same'), makeKey('sAME')] });
  expect(() => writeHive(hiveOf(twins))).toThrow(expect.objectContaining({ code: 'GW2305' }));
  const value = (name: string) => ({ name, type: 3, data: Buffer.alloc(0), flags: 0 });
  expect(() => writeHive(hiveOf(root({ values: [value('V'), value('v')] })))).toThrow('Two values');
  expect(() => writeHive(hiveOf(root({ subkeys: [makeKey('x'.repeat(70_000))] })))).toThrow('70000 bytes');
});

test('what is no hive, or dirty, is named as that', () => {
  const bytes = writeHive(hiveOf(root()));
  const broken = (change: (copy: Buffer) => void): (() => unknown) => {
    const copy = Buffer.from(bytes);
    change(copy);
    return () => readHive(copy);
  };
  const resum = (copy: Buffer) => copy.writeUInt32LE(baseBlockSum(copy), 508);
  expect(() => readHive(Buffer.from('MZ'))).toThrow(expect.objectContaining({ code: 'GW2301' }));
  expect(broken((copy) => copy.writeUInt32LE(2, 24))).toThrow(expect.objectContaining({ code: 'GW2301' }));
  expect(broken((copy) => copy.writeUInt32LE(9, 4))).toThrow(expect.objectContaining({ code: 'GW2303' }));
  expect(
    broken((copy) => {
      copy.writeUInt32LE(9, 4);
      resum(copy);
    }),
  ).toThrow(expect.objectContaining({ code: 'GW2303' }));
  expect(
    broken((copy) => {
      copy.writeUInt32LE(1 << 30, 40);
      resum(copy);
    }),
  ).toThrow(expect.objectContaining({ code: 'GW2302' }));
});

test('names: one unit maps to one unit, as Windows has it', () => {
  expect(upperName('aßÿµıſςσ')).toBe('AßŸµıſΣΣ');
  expect([sameName('straße', 'STRASSE'), sameName('ÄÖ', 'äö'), sameName('I', 'ı')]).toEqual([false, true, false]);
  expect(nameHash(upperName('Control'))).toBe(nameHash('CONTROL'));
  // By hand: ((65 × 37) + 66) × 37 + 67.
  expect(nameHash('ABC')).toBe((65 * 37 + 66) * 37 + 67);
  expect([nameHint('ab'), nameHint('abcdef'), nameHint('aΣ')]).toEqual([0x6261, 0x64636261, 0]);
  expect(['b', 'A', '_', 'Z'].map(upperName).sort(compareUpper)).toEqual(['A', 'B', 'Z', '_']);
});

test('texts of values', () => {
  expect(stringsOf(multiTextValue('x', ['a', 'b']))).toEqual(['a', 'b']);
  expect(stringsOf(multiTextValue('x', []))).toEqual([]);
  expect(textOf(root({ values: [textValue('Path', 'C:\\')] }), 'path')).toBe('C:\\');
});
