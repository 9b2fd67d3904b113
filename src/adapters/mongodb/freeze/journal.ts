/**
 * What was locked and what was let go again, in a file that outlives every
 * process: an `fsync` lock belongs to nobody on the server, so only this says
 * whether one that stands there is ours. A line is on disk when the call
 * returns. It holds no secrets.
 */
import { closeSync, existsSync, fsyncSync, openSync, readFileSync, writeSync } from 'node:fs';
import { GodwitError } from '../../../kernel/errors.ts';

/** `locking` is written before the server is asked, so that nothing is locked without a line. */
export type JournalLine =
  | {
      readonly what: 'locking';
      readonly at: string;
      readonly address: string;
      /** The process that watches over it, and after how much silence it unlocks. */
      readonly pid: number;
      readonly leaseMs: number;
    }
  | { readonly what: 'locked'; readonly at: string; readonly address: string }
  | { readonly what: 'released'; readonly at: string; readonly address: string; readonly why: string };

const OWNER_ONLY = 0o600;

export function writeJournal(path: string, line: JournalLine): void {
  let file: number;
  try {
    file = openSync(path, 'a', OWNER_ONLY);
  } catch (cause) {
    throw new GodwitError('GW4003', `${path} cannot be written`, { details: { path }, cause });
  }
  try {
    // On a line of its own, whatever a crash left of the one before.
    writeSync(file, `\n${JSON.stringify(line)}\n`);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

/** A lock of ours that was not seen to end. */
export interface OpenLock {
  readonly address: string;
  readonly pid: number;
  readonly leaseMs: number;
  readonly since: string;
  /** Whether the server was seen to have locked. */
  readonly certain: boolean;
}

/** The lock that may still stand, if any. A line that a crash cut off says nothing. */
export function openLock(path: string): OpenLock | undefined {
  let open: OpenLock | undefined;
  for (const line of readLines(path)) {
    if (line.what === 'locking') open = { ...pick(line), certain: false };
    else if (line.what === 'locked' && open) open = { ...open, certain: true };
    else if (line.what === 'released') open = undefined;
  }
  return open;
}

/** When the last lock of ours ended, ISO 8601; undefined while it may still stand, or when there was none. */
export function releasedAt(path: string): string | undefined {
  const last = readLines(path).at(-1);
  return last?.what === 'released' ? last.at : undefined;
}

function pick({ address, pid, leaseMs, at }: Extract<JournalLine, { what: 'locking' }>) {
  return { address, pid, leaseMs, since: at };
}

function readLines(path: string): JournalLine[] {
  if (!existsSync(path)) return [];
  const lines: JournalLine[] = [];
  for (const text of readFileSync(path, 'utf8').split('\n')) {
    try {
      lines.push(JSON.parse(text) as JournalLine);
    } catch {
      // Cut off, or the empty rest behind the last line.
    }
  }
  return lines;
}
