/** Hives and logs with something wrong in them: the reader must read them or refuse them with a code, soon. */
import { baseBlockSum } from '../../src/adapters/windows-registry/base-block.ts';
import { openHive } from '../../src/adapters/windows-registry/open-hive.ts';
import { readHive } from '../../src/adapters/windows-registry/read-hive.ts';
import { sameTree } from '../../src/adapters/windows-registry/same-tree.ts';
import { writeHive } from '../../src/adapters/windows-registry/write-hive.ts';
import { GodwitError } from '../../src/kernel/errors.ts';
import { Rng } from '../torture/rng.ts';
import { type DirtyHive, dirtyHive, hashEntry } from './dirty-hive.ts';
import { randomHive } from './random-hive.ts';

export interface MutationCounts {
  /** Still a hive, and written again it reads the same. */
  read: number;
  /** Refused, by code. */
  readonly refused: Record<string, number>;
  slowestMs: number;
}

/** One mutated hive: counts it, or throws what must not happen. */
export function tryMutated(seed: number, counts: MutationCounts): void {
  const rng = new Rng(seed);
  const start = performance.now();
  try {
    const { hive } = rng.chance(0.1) ? openDirty(rng) : { hive: readHive(mutateHive(rng, victim(rng))) };
    const again = readHive(writeHive(hive));
    const difference = sameTree(hive.root, again.root);
    if (difference !== undefined) throw new Error(`seed ${seed}: written and read again it differs at ${difference}`);
    counts.read += 1;
  } catch (error) {
    if (!(error instanceof GodwitError) || !/^GW230[1235]$/.test(error.code)) {
      throw new Error(`seed ${seed}: ${error instanceof Error ? error.stack : error}`);
    }
    counts.refused[error.code] = (counts.refused[error.code] ?? 0) + 1;
  }
  counts.slowestMs = Math.max(counts.slowestMs, performance.now() - start);
}

const VICTIMS = new Map<number, Buffer>();

/** One of a few whole hives, made once. */
function victim(rng: Rng): Buffer {
  const which = rng.int(60);
  let bytes = VICTIMS.get(which);
  if (bytes === undefined) {
    bytes = writeHive(randomHive(new Rng(which), { keys: which === 0 ? 150 : 1 + (which % 12), hasOddNames: true }));
    VICTIMS.set(which, bytes);
  }
  return Buffer.from(bytes);
}

/** Changes that fit the format well enough to get past its first checks. */
function mutateHive(rng: Rng, bytes: Buffer): Buffer {
  let result = bytes;
  for (let changes = rng.pick([1, 1, 1, 2, 3, 8]); changes > 0 && result.length > 4096; changes -= 1)
    result = mutateOnce(rng, result);
  if (rng.chance(0.97) && result.length >= 512) {
    if (rng.chance(0.9)) result.copy(result, 8, 4, 8);
    result.writeUInt32LE(baseBlockSum(result), 508);
  }
  return result;
}

function mutateOnce(rng: Rng, bytes: Buffer): Buffer {
  const cells = cellsOf(bytes);
  const kind = rng.int(100);
  if (kind < 4) return bytes.subarray(0, rng.int(bytes.length));
  if (kind < 8) return Buffer.concat([bytes, Buffer.alloc(4096 * rng.int(3), rng.int(256))]);
  if (kind < 15) bytes[rng.int(bytes.length)]! ^= 1 << rng.int(8);
  else if (kind < 20) bytes.writeUInt32LE(interesting(rng, cells), 4 * rng.int(128));
  else if (cells.length > 0) {
    const at = rng.pick(cells);
    const length = Math.max(8, Math.min(80, Math.abs(bytes.readInt32LE(at))));
    if (kind < 30) bytes.writeInt32LE(rng.pick([-8, 8, -4096, 4096, -0x80000000, 0x7fffffff, -length - 8, 0]), at);
    else if (kind < 80)
      bytes.writeUInt32LE(interesting(rng, cells), Math.min(bytes.length - 4, at + 4 * rng.int(length / 4)));
    else if (kind < 90)
      bytes.writeUInt16LE(
        rng.pick([0, 1, 0xffff, 0x7fff, rng.int(0x10000)]),
        Math.min(bytes.length - 2, at + 2 * rng.int(length / 2)),
      );
    // One cell becomes another: keys that are their own children, lists that list themselves.
    else bytes.copy(bytes, at, rng.pick(cells), rng.pick(cells) + length);
  }
  return bytes;
}

/** Where cells begin, as far as they can be followed. */
function cellsOf(bytes: Buffer): readonly number[] {
  const cells: number[] = [];
  let bin = 4096;
  while (bin + 32 <= bytes.length) {
    const end = Math.min(bytes.length, bin + (bytes.readUInt32LE(bin + 8) || 4096));
    let at = bin + 32;
    while (at + 8 <= end) {
      cells.push(at);
      const size = Math.abs(bytes.readInt32LE(at));
      if (size < 8) break;
      at += size;
    }
    bin = end;
  }
  return cells;
}

function interesting(rng: Rng, cells: readonly number[]): number {
  if (cells.length > 0 && rng.chance(0.6)) return rng.pick(cells) - 4096;
  return rng.pick([
    0,
    1,
    4,
    8,
    32,
    0x20,
    0xff,
    0x1000,
    0x7fffffff,
    0x80000000,
    0x80000004,
    0xfffffff0,
    0xffffffff,
    rng.int(0xffffffff),
  ]);
}

const DIRTY = new Map<number, DirtyHive>();

/** A dirty hive whose file and logs are mutated; sums are mended often enough to get far. */
function openDirty(rng: Rng) {
  const which = rng.int(24);
  let made = DIRTY.get(which);
  if (made === undefined) {
    made = dirtyHive(new Rng(1000 + which), which % 2 === 0 ? 'new' : 'old');
    DIRTY.set(which, made);
  }
  const logs = made.logs.map(({ name, bytes }): { name: string; bytes: Buffer } => ({
    name,
    bytes: Buffer.from(bytes),
  }));
  const whole = Buffer.from(made.primary);
  const primary = { name: 'SYSTEM', bytes: rng.chance(0.4) ? mutateOnce(rng, whole) : whole };
  for (const log of logs) {
    for (let changes = rng.int(3); changes > 0; changes -= 1) {
      if (rng.chance(0.1)) log.bytes = log.bytes.subarray(0, rng.int(log.bytes.length + 1));
      else if (log.bytes.length > 600) {
        const near = rng.chance(0.5) ? 4 * rng.int(128) : 512 + 4 * rng.int(30);
        log.bytes.writeUInt32LE(interesting(rng, []), near);
      }
    }
    if (log.bytes.length >= 1024 && rng.chance(0.7)) {
      log.bytes.writeUInt32LE(baseBlockSum(log.bytes), 508);
      if (log.bytes.toString('latin1', 512, 516) === 'HvLE') hashEntry(log.bytes, 512);
    }
  }
  return openHive(primary, logs);
}
