/**
 * A hive as it lies on a disc: the primary file and its logs. A dirty one is
 * brought to the state that Windows would have brought it to, in memory; what
 * cannot be is refused (GW2303), never read half.
 */
import { GodwitError } from '../../kernel/errors.ts';
import { BASE_BLOCK, type BaseBlock, baseBlockSum, FILE_TYPE, isDirty, readBaseBlock } from './base-block.ts';
import { dirtyPagesOf, entriesOf, type Log, type LogEntry, openLog } from './logs.ts';
import { type ReadOptions, readHive } from './read-hive.ts';
import type { Hive } from './tree.ts';

export interface HiveFile {
  readonly name: string;
  readonly bytes: Buffer;
}

export interface OpenedHive {
  readonly hive: Hive;
  /** Logs that were applied, with how many entries of each; empty for a clean hive. */
  readonly replayed: readonly { readonly log: string; readonly entries: number }[];
}

/** Reads a hive, after its logs where it is dirty. `logs`: those that lie beside it, in any order. */
export function openHive(primary: HiveFile, logs: readonly HiveFile[], options: ReadOptions = {}): OpenedHive {
  const base = readBaseBlock(primary.bytes);
  if (!isDirty(base)) return { hive: readHive(primary.bytes, options), replayed: [] };
  const usable = logs.map(({ name, bytes }) => openLog(name, bytes)).filter((log) => log !== undefined);
  const incremental = usable.filter(({ base: { fileType } }) => fileType === FILE_TYPE.newLog);
  // Windows writes two logs by turns: with one of them missing, what follows in the other may not be the next.
  const isComplete = logs.length > 1;
  if (incremental.length > 0) return replay(primary, base, incremental, isComplete, options);
  return applyOld(primary, base, usable, options);
}

interface Part {
  readonly log: Log;
  readonly entries: readonly LogEntry[];
}

/** The new format: entries of both logs form one sequence, the log with the earlier ones first. */
function replay(
  primary: HiveFile,
  base: BaseBlock,
  logs: readonly Log[],
  isComplete: boolean,
  options: ReadOptions,
): OpenedHive {
  const parts: Part[] = logs
    .map((log) => ({ log, entries: entriesOf(log) }))
    .filter(({ entries }) => entries.length > 0);
  parts.sort((a, b) => a.entries[0]!.sequence - b.entries[0]!.sequence);
  // Without a base block that holds nobody knows what was applied already: only the latest log is safe.
  const chosen = base.isSumRight ? parts : parts.slice(-1);
  const image = imageOf(primary, base.isSumRight ? undefined : chosen[0]?.log);
  const replayed: { log: string; entries: number }[] = [];
  let next: number | undefined;
  for (const { log, entries } of chosen) {
    const first = entries[0]!.sequence;
    const isOld = base.isSumRight && first < base.secondarySequence;
    if (isOld && next === undefined) continue;
    if (next !== undefined && first !== next) {
      // An older log that this one replaced is of no use; a gap means that changes are lost.
      if (first < next) continue;
      throw unrecoverable(primary, `${log.name} begins with change ${first}, but ${next} is missing`);
    }
    if (next === undefined && !isComplete && base.isSumRight && first > base.secondarySequence + 1) {
      throw unrecoverable(primary, `${log.name} begins with change ${first}: the other log is missing`);
    }
    for (const entry of entries) image.apply(entry);
    next = (entries.at(-1)!.sequence + 1) >>> 0;
    replayed.push({ log: log.name, entries: entries.length });
  }
  if (next === undefined) throw unrecoverable(primary, 'its logs hold nothing that follows its last write');
  try {
    return { hive: readHive(image.finish(next - 1), options), replayed };
  } catch (error) {
    throw unrecoverable(primary, 'its logs do not fit it', error);
  }
}

/** The old format: one log has all pages of the last write; which one, the result says. */
function applyOld(primary: HiveFile, base: BaseBlock, logs: readonly Log[], options: ReadOptions): OpenedHive {
  const timestamp = base.isSumRight ? base.timestamp : binTimestamp(primary.bytes);
  const fitting = logs
    .filter((log) => log.base.timestamp === timestamp)
    .sort((a, b) => b.base.primarySequence - a.base.primarySequence);
  let failure: unknown;
  for (const log of fitting) {
    const entry = dirtyPagesOf(log);
    if (entry === undefined) continue;
    try {
      const image = imageOf(primary, base.isSumRight ? undefined : log);
      image.apply(entry);
      const hive = readHive(image.finish(entry.sequence), options);
      return { hive, replayed: [{ log: log.name, entries: 1 }] };
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      failure = error;
    }
  }
  throw unrecoverable(primary, logs.length === 0 ? 'there is no log beside it' : 'its logs do not fit it', failure);
}

/** The first bin repeats the time stamp of the base block. */
function binTimestamp(bytes: Buffer): bigint | undefined {
  return bytes.length < BASE_BLOCK + 28 ? undefined : bytes.readBigUInt64LE(BASE_BLOCK + 20);
}

interface Image {
  apply(entry: LogEntry): void;
  finish(sequence: number): Buffer;
}

/** A copy of the primary file that pages are written into; `donor` gives its base block where the file's is broken. */
function imageOf(primary: HiveFile, donor: Log | undefined): Image {
  let bytes = Buffer.alloc(Math.max(primary.bytes.length, BASE_BLOCK));
  primary.bytes.copy(bytes);
  donor?.bytes.copy(bytes, 0, 0, 512);
  return {
    apply({ binsSize, pages }) {
      const end = BASE_BLOCK + binsSize;
      if (end > bytes.length) {
        // What grew was written in the same step, so a size that its pages do not reach is a lie.
        const reached = pages.reduce((most, { offset, content }) => Math.max(most, offset + content.length), 0);
        if (reached < binsSize)
          throw unrecoverable(primary, `a log lets it grow to ${end} bytes without their content`);
        const grown = Buffer.alloc(end);
        bytes.copy(grown);
        bytes = grown;
      }
      for (const { offset, content } of pages) content.copy(bytes, BASE_BLOCK + offset);
      bytes.writeUInt32LE(binsSize, 40);
    },
    finish(sequence) {
      bytes.writeUInt32LE(sequence >>> 0, 4);
      bytes.writeUInt32LE(sequence >>> 0, 8);
      bytes.writeUInt32LE(FILE_TYPE.primary, 28);
      bytes.writeUInt32LE(baseBlockSum(bytes), 508);
      return bytes;
    },
  };
}

function unrecoverable({ name }: HiveFile, why: string, cause?: unknown): GodwitError {
  return new GodwitError('GW2303', `${name} was not closed cleanly, and ${why}`, {
    ...(cause === undefined ? {} : { cause }),
  });
}
