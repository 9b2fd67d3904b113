import { describe, expect, test } from 'vitest';
import { dirtyHive } from '../../../test/hive/dirty-hive.ts';
import { Rng } from '../../../test/torture/rng.ts';
import { baseBlockSum } from './base-block.ts';
import { marvin32 } from './marvin32.ts';
import { openHive } from './open-hive.ts';
import { readHive } from './read-hive.ts';
import { sameTree } from './same-tree.ts';

/** .NET's test vectors. */
const LOW_SEED = [0x001bdbcc, 0x004fb61a] as const;
test.each([
  ['', '30ed35c100cd3c7d'],
  ['af', '48e73fc77d75ddc1'],
  ['e70f', 'b5f6e1fc485dbff8'],
  ['37f495', 'f0b07c789b8cf7e8'],
  ['8642dc59', '7008f2e87e9cf556'],
  ['153fb79826', 'e6c08c6da2afa997'],
])('Marvin32 of %j', (data, expected) => {
  const [low, high] = marvin32(Buffer.from(data, 'hex'), LOW_SEED);
  expect([high, low].map((word) => word.toString(16).padStart(8, '0')).join('')).toBe(expected);
});

describe.each(['old', 'new'] as const)('logs of the %s format', (format) => {
  test.each(Array.from({ length: 60 }, (_, seed) => seed))('a dirty hive is completed, seed %i', (seed) => {
    const { primary, logs, recovered } = dirtyHive(new Rng(seed), format);
    const file = { name: 'SYSTEM', bytes: primary };
    const before = Buffer.from(primary);
    expect(() => readHive(primary)).toThrow(expect.objectContaining({ code: 'GW2303' }));
    const { hive, replayed } = openHive(file, logs);
    expect(sameTree(recovered.root, hive.root)).toBeUndefined();
    expect(replayed.length).toBeGreaterThan(0);
    expect(primary.equals(before)).toBe(true);
  });

  test('without its logs, or with those of another hive, it is refused', () => {
    const { primary } = dirtyHive(new Rng(1), format);
    const others = dirtyHive(new Rng(2), format).logs;
    for (const logs of [
      [],
      [{ name: 'SYSTEM.LOG1', bytes: Buffer.alloc(0) }],
      [{ name: 'SYSTEM.LOG1', bytes: Buffer.alloc(8192) }],
      others,
    ]) {
      const open = () => openHive({ name: 'SYSTEM', bytes: Buffer.from(primary) }, logs);
      expect(open).toThrow(expect.objectContaining({ code: 'GW2303' }));
    }
  });
});

test('a clean hive ignores what lies beside it', () => {
  const { primary, logs } = dirtyHive(new Rng(3), 'new');
  const clean = Buffer.from(primary);
  clean.writeUInt32LE(clean.readUInt32LE(4), 8);
  clean.writeUInt32LE(baseBlockSum(clean), 508);
  expect(openHive({ name: 'SYSTEM', bytes: clean }, logs).replayed).toEqual([]);
});

/** A dirty hive of the new format whose entries stand in two logs. */
function inTwoLogs() {
  for (let seed = 0; ; seed += 1) {
    const made = dirtyHive(new Rng(seed), 'new');
    const sizes = made.logs.map(({ bytes }) => bytes.toString('latin1', 512, 516));
    if (sizes.length === 2 && sizes.every((start) => start === 'HvLE')) return made;
  }
}

test('a log between two others that is missing is noticed', () => {
  const { primary, logs } = inTwoLogs();
  const file = { name: 'SYSTEM', bytes: primary };
  expect(openHive(file, logs).replayed).toHaveLength(2);
  const later = logs.toSorted((a, b) => b.bytes.readUInt32LE(4) - a.bytes.readUInt32LE(4))[0]!;
  // One entry is taken out of the sequence of the later log: between both there is a gap now.
  const gap = Buffer.from(later.bytes);
  gap.writeUInt32LE(gap.readUInt32LE(4) + 7, 4);
  gap.writeUInt32LE(gap.readUInt32LE(8) + 7, 8);
  gap.writeUInt32LE(baseBlockSum(gap), 508);
  const earlier = logs.find((log) => log !== later)!;
  // Its entries do not begin with its number, so none of them counts.
  expect(openHive(file, [earlier, { name: later.name, bytes: gap }]).replayed).toHaveLength(1);
  // Only the later log: what it begins after was never written.
  expect(() => openHive(file, [later])).toThrow(expect.objectContaining({ code: 'GW2303' }));
});

test('an entry that was not written to its end is left out, those before it count', () => {
  const made = inTwoLogs();
  const last = made.logs.toSorted((a, b) => b.bytes.readUInt32LE(4) - a.bytes.readUInt32LE(4))[0]!;
  const torn = Buffer.from(last.bytes);
  torn[512 + 45]! ^= 1;
  const logs = made.logs.map((log) => (log === last ? { name: log.name, bytes: torn } : log));
  const { hive, replayed } = openHive({ name: 'SYSTEM', bytes: made.primary }, logs);
  expect(replayed).toHaveLength(1);
  expect(sameTree(made.recovered.root, hive.root)).toBeDefined();
});
