/**
 * Hives as a crash leaves them: the primary file half written or not at all,
 * and logs that complete it. The logs are written here by the format's
 * description, apart from the code that reads them.
 */
import { baseBlockSum } from '../../src/adapters/windows-registry/base-block.ts';
import type { HiveFile } from '../../src/adapters/windows-registry/open-hive.ts';
import { type Hive, makeKey } from '../../src/adapters/windows-registry/tree.ts';
import { writeHive } from '../../src/adapters/windows-registry/write-hive.ts';
import type { Rng } from '../torture/rng.ts';
import { randomHive, randomValues } from './random-hive.ts';

export interface DirtyHive {
  readonly primary: Buffer;
  readonly logs: readonly HiveFile[];
  /** What recovery must give. */
  readonly recovered: Hive;
}

/** A hive, then one to four states that follow it, of which the file holds a part and the logs all. */
export function dirtyHive(rng: Rng, format: 'old' | 'new'): DirtyHive {
  const hive = randomHive(rng, { keys: rng.between(1, 30), minorVersion: 5 });
  const states: Buffer[] = [];
  const hives: Hive[] = [];
  let last = hive;
  for (let step = rng.between(1, format === 'new' ? 4 : 1); step >= 0; step -= 1) {
    states.push(writeHive(last));
    hives.push(last);
    const added = makeKey(`step${step}`, { values: randomValues(rng), timestamp: 5n });
    last = { ...last, root: { ...last.root, subkeys: [...last.root.subkeys, added] } };
  }
  const first = states[0]!;
  const before = first.readUInt32LE(4);
  const primary = Buffer.from(first);
  // The write had begun: one sequence number is ahead, and some pages are there already.
  primary.writeUInt32LE(before + 1, 4);
  const next = states[1]!;
  if (format === 'old') {
    for (const page of dirtyPages(first, next, 512))
      if (rng.chance(0.5) && 4096 + page < primary.length)
        next.copy(primary, 4096 + page, 4096 + page, 4096 + page + 512);
  }
  primary.writeUInt32LE(baseBlockSum(primary), 508);
  const isTorn = rng.chance(0.3);
  if (isTorn) primary.writeUInt32LE(~primary.readUInt32LE(508) >>> 0, 508);
  const logs = format === 'old' ? [oldLog(rng, first, next)] : newLogs(rng, states, isTorn);
  return { primary, logs, recovered: hives[hives.length - 1]! };
}

/** Offsets of pages of the second that the first does not have. */
function dirtyPages(first: Buffer, second: Buffer, size: number): readonly number[] {
  const pages: number[] = [];
  for (let at = 0; at + 4096 < second.length; at += size) {
    const [from, to] = [4096 + at, 4096 + at + size];
    if (to > first.length || first.compare(second, from, to, from, to) !== 0) pages.push(at);
  }
  return pages;
}

/** The first sector of a log: the base block with the log's own type. */
function logBase(state: Buffer, type: number, sequence: number): Buffer {
  const base = Buffer.from(state.subarray(0, 512));
  base.writeUInt32LE(sequence, 4);
  base.writeUInt32LE(sequence, 8);
  base.writeUInt32LE(type, 28);
  base.writeUInt32LE(baseBlockSum(base), 508);
  return base;
}

function oldLog(rng: Rng, first: Buffer, next: Buffer): HiveFile {
  const size = next.length - 4096;
  const dirty = new Set(
    dirtyPages(first, next, 4096).flatMap((at) => Array.from({ length: 8 }, (_, index) => at + 512 * index)),
  );
  const bitmap = Buffer.alloc(Math.ceil((4 + size / 4096) / 512) * 512);
  bitmap.write('DIRT', 'latin1');
  for (const at of dirty) bitmap[4 + (at >>> 12)]! |= 1 << ((at >>> 9) & 7);
  const pages = [...dirty].sort((a, b) => a - b).map((at) => next.subarray(4096 + at, 4608 + at));
  const rest = Buffer.alloc(512 * rng.int(4), 0xab);
  const sequence = first.readUInt32LE(4) + 1;
  return {
    name: 'SYSTEM.LOG1',
    bytes: Buffer.concat([logBase(next, rng.pick([1, 2]), sequence), bitmap, ...pages, rest]),
  };
}

/** Entries in sequence over one log or two; an older log may still lie there. */
function newLogs(rng: Rng, states: readonly Buffer[], isTorn: boolean): HiveFile[] {
  const start = states[0]!.readUInt32LE(4) + 1;
  const entries = states.slice(1).map((state, index) => logEntry(states[index]!, state, start + index));
  // Only the latest log is used for a file whose base block is broken: then it has to hold everything.
  const split = isTorn ? 0 : rng.int(entries.length);
  const parts = [entries.slice(0, split), entries.slice(split)];
  const logs = parts.map((part, index) => {
    const sequence = index === 0 ? start : start + split;
    const base = logBase(states[index === 0 ? 0 : split]!, 6, sequence);
    const leftOver = rng.chance(0.5) ? Buffer.alloc(512 * rng.int(3), 0xcd) : Buffer.alloc(0);
    return Buffer.concat([base, ...part, leftOver]);
  });
  const names = rng.shuffled(['SYSTEM.LOG1', 'SYSTEM.LOG2']);
  const files = logs.map((bytes, index) => ({ name: names[index]!, bytes }));
  return rng.shuffled(split === 0 ? files.slice(1) : files);
}

function logEntry(from: Buffer, to: Buffer, sequence: number): Buffer {
  const pages = dirtyPages(from, to, 4096);
  const references = Buffer.alloc(8 * pages.length);
  pages.forEach((at, index) => {
    references.writeUInt32LE(at, 8 * index);
    references.writeUInt32LE(4096, 8 * index + 4);
  });
  const header = Buffer.alloc(40);
  const content = Buffer.concat([header, references, ...pages.map((at) => to.subarray(4096 + at, 8192 + at))]);
  const entry = Buffer.alloc(Math.ceil(content.length / 512) * 512);
  content.copy(entry);
  entry.write('HvLE', 0, 'latin1');
  entry.writeUInt32LE(entry.length, 4);
  entry.writeUInt32LE(sequence, 12);
  entry.writeUInt32LE(to.length - 4096, 16);
  entry.writeUInt32LE(pages.length, 20);
  hashEntry(entry, 0);
  return entry;
}

/** Both hashes of the entry at a place, whatever it holds by now. */
export function hashEntry(bytes: Buffer, at: number): void {
  const size = bytes.readUInt32LE(at + 4);
  if (size < 40 || at + size > bytes.length) return;
  bytes.writeBigUInt64LE(marvin(bytes.subarray(at + 40, at + size)), at + 24);
  bytes.writeBigUInt64LE(marvin(bytes.subarray(at, at + 32)), at + 32);
}

/** Marvin32 with the seed of logs, in whole numbers: slow, and no copy of the product's. */
function marvin(data: Buffer): bigint {
  const mask = 0xffffffffn;
  const turn = (word: bigint, by: bigint) => ((word << by) | (word >> (32n - by))) & mask;
  let [low, high] = [0x884def82n, 0xc5554e7an];
  const padded = Buffer.concat([data, Buffer.from([0x80]), Buffer.alloc(7 - (data.length % 4))]);
  for (let at = 0; at < padded.length; at += 4) {
    low = (low + BigInt(padded.readUInt32LE(at))) & mask;
    high ^= low;
    low = (turn(low, 20n) + high) & mask;
    high = turn(high, 9n) ^ low;
    low = (turn(low, 27n) + high) & mask;
    high = turn(high, 19n);
  }
  return (high << 32n) | low;
}
