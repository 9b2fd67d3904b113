/** Hives made up at random: every kind of cell, name, value and list, the same for the same seed. */
import { BASE_BLOCK } from '../../src/adapters/windows-registry/base-block.ts';
import { type Hive, type HiveKey, type HiveValue, KEY, makeKey } from '../../src/adapters/windows-registry/tree.ts';
import { newBaseBlock } from '../../src/adapters/windows-registry/write-hive.ts';
import type { Rng } from '../torture/rng.ts';

export interface RandomOptions {
  /** About so many keys. */
  readonly keys: number;
  /** Names that only UTF-16 itself can hold (half of a pair, a null): the judges speak UTF-8 and C. */
  readonly hasOddNames?: boolean;
  readonly minorVersion?: number;
}

const SIZES = [0, 1, 2, 3, 4, 5, 8, 12, 100, 1000] as const;
const LARGE = [16343, 16344, 16345, 32688, 32689, 50_000] as const;
const TYPES = [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 0x1234, 0xffff0007] as const;

export function randomHive(rng: Rng, options: RandomOptions): Hive {
  const minorVersion = options.minorVersion ?? rng.between(3, 6);
  const base = Buffer.alloc(BASE_BLOCK);
  base.set(newBaseBlock('\\Config\\SYSTEM'));
  base.writeUInt32LE(rng.int(1000), 4);
  base.writeBigUInt64LE(randomTime(rng), 12);
  const descriptors = Array.from({ length: rng.between(1, 4) }, () => randomDescriptor(rng));
  const root = makeKey('ROOT', {
    flags: KEY.root | KEY.noDelete,
    security: descriptors[0],
    timestamp: randomTime(rng),
  });
  const keys = [root];
  const names = new Map<HiveKey, Set<string>>();
  for (let left = options.keys; left > 0; left -= 1) {
    // Now and then one key gets so many subkeys that their list needs an index root.
    const isCrowd = left > 600 && rng.chance(0.01);
    const parent = rng.pick(keys);
    for (let child = isCrowd ? rng.between(508, 600) : 1; child > 0; child -= 1) {
      const name = freshName(rng, namesOf(names, parent, parent.subkeys), options);
      const key = makeKey(name, {
        timestamp: randomTime(rng),
        flags: rng.chance(0.05) ? KEY.symlink : 0,
        accessBits: rng.chance(0.2) ? rng.int(4) : 0,
        userFlags: rng.chance(0.1) ? rng.int(0x10000) : 0,
        security: rng.chance(0.95) ? rng.pick(descriptors) : undefined,
        className: rng.chance(0.1) ? Buffer.from(`c${randomText(rng, 20)}`, 'utf16le') : undefined,
        values: isCrowd ? [] : randomValues(rng, options),
      });
      parent.subkeys.push(key);
      keys.push(key);
    }
  }
  root.values = randomValues(rng, options);
  return { minorVersion, baseBlock: base, root };
}

function namesOf(all: Map<HiveKey, Set<string>>, key: HiveKey, keys: readonly HiveKey[]): Set<string> {
  let names = all.get(key);
  if (names === undefined) {
    names = new Set(keys.map(({ name }) => name.toLowerCase()));
    all.set(key, names);
  }
  return names;
}

export function randomValues(rng: Rng, options: Pick<RandomOptions, 'hasOddNames'> = {}): HiveValue[] {
  const names = new Set<string>();
  const count = rng.chance(0.05) ? rng.between(10, 60) : rng.int(5);
  return Array.from({ length: count }, (_, index) => ({
    name: index === 0 && rng.chance(0.3) ? '' : freshName(rng, names, options),
    type: rng.pick(TYPES),
    data: randomData(rng),
    flags: 0,
  }));
}

function randomData(rng: Rng): Uint8Array {
  if (rng.chance(0.3)) return Buffer.from(`${randomText(rng, 30)}\0`, 'utf16le');
  const data = Buffer.alloc(rng.chance(0.01) ? rng.pick(LARGE) : rng.pick(SIZES));
  for (let at = 0; at < data.length; at += 1) data[at] = rng.int(256);
  // Data that looks like the header of segments must not be taken for it.
  if (data.length > 4 && rng.chance(0.1)) data.write('db\x02\0', 'latin1');
  return data;
}

function randomTime(rng: Rng): bigint {
  return 128_000_000_000_000_000n + BigInt(rng.int(2 ** 31)) * 1_000_000n;
}

const PLAIN = [...'ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 _-{}&#.()[]=,;@$%'];
const NARROW = [...PLAIN, ...'äöüßÿÄÖÜéèñçæøµ×÷'];
const ANY = [...NARROW, ...'ΑαΣσςЖжıİſ漢字ǅǆ€'];

/** A name that no sibling has, whatever the case: told apart by a number, so that no table of cases decides. */
function freshName(rng: Rng, taken: Set<string>, { hasOddNames }: Pick<RandomOptions, 'hasOddNames'>): string {
  const letters = rng.chance(0.8) ? PLAIN : rng.chance(0.6) ? NARROW : ANY;
  const text = () =>
    Array.from({ length: rng.between(1, rng.chance(0.05) ? 200 : 12) }, () => rng.pick(letters)).join('');
  let name = text().trim() || 'x';
  if (rng.chance(0.03)) name = `${name}😀`;
  if (hasOddNames && rng.chance(0.05)) name += rng.pick(['\ud800', '\udc00x', '\0', '\\']);
  while (taken.has(name.toLowerCase())) name = `${name}${taken.size}`;
  taken.add(name.toLowerCase());
  return name;
}

function randomText(rng: Rng, most: number): string {
  return Array.from({ length: rng.int(most) }, () => rng.pick(NARROW)).join('');
}

/** Self-relative: owner and group, and a list that lets somebody do something. */
export function randomDescriptor(rng: Rng): Uint8Array {
  const sid = (last: number) => {
    const bytes = Buffer.alloc(16);
    bytes.writeUInt8(1, 0);
    bytes.writeUInt8(2, 1);
    bytes.writeUInt8(5, 7);
    bytes.writeUInt32LE(32, 8);
    bytes.writeUInt32LE(last, 12);
    return bytes;
  };
  const entries = Array.from({ length: rng.between(1, 3) }, () => {
    const entry = Buffer.alloc(24);
    entry.writeUInt8(0, 0);
    entry.writeUInt8(rng.int(4), 1);
    entry.writeUInt16LE(24, 2);
    entry.writeUInt32LE(rng.pick([0xf003f, 0x20019, 0x10000]), 4);
    sid(544 + rng.int(8)).copy(entry, 8);
    return entry;
  });
  const list = Buffer.alloc(8);
  list.writeUInt8(2, 0);
  list.writeUInt16LE(8 + 24 * entries.length, 2);
  list.writeUInt16LE(entries.length, 4);
  const header = Buffer.alloc(20);
  header.writeUInt8(1, 0);
  header.writeUInt16LE(0x8004, 2);
  header.writeUInt32LE(20, 4);
  header.writeUInt32LE(36, 8);
  header.writeUInt32LE(52, 16);
  return Buffer.concat([header, sid(544), sid(545), list, ...entries]);
}
