/**
 * The source's log kept on disk without a run: a spool, what it is the log of,
 * and a lock, in a folder of their own.
 *
 *     DIR/about.json   what is kept, written once
 *     DIR/lock.db      held by the process that writes
 *     DIR/log/00000001.seg …
 */
import {
  closeSync,
  existsSync,
  fsyncSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  renameSync,
  writeSync,
} from 'node:fs';
import { join } from 'node:path';
import { GodwitError } from '../kernel/errors.ts';
import type { Position } from '../kernel/position.ts';
import { guarded } from './failures.ts';
import { DIR_MODE, FILE_MODE, syncDir } from './run-dir.ts';
import { acquireLock, lockHolder, type RunLock } from './run-lock.ts';
import { Spool, type SpoolOptions } from './spool/spool.ts';

/** What a kept log is the log of. */
export interface KeptLogAbout {
  readonly version: 1;
  /** Identity of the source, and its address without secrets. */
  readonly sourceId: string;
  readonly source: string;
  /** The namespaces it was filtered by; empty lists: all. */
  readonly include: readonly string[];
  readonly exclude: readonly string[];
  /** It holds every entry after this one. */
  readonly start: Position;
  readonly startedAt: string;
}

/** A kept log as others see it. */
export interface KeptLogView {
  readonly about: KeptLogAbout;
  /** The folder of its segments. */
  readonly spoolDir: string;
  /** Whether a process writes it now. */
  readonly isWritten: () => boolean;
}

/** Open for writing. */
export class KeptLog {
  readonly about: KeptLogAbout;
  readonly spool: Spool;
  readonly #lock: RunLock;

  private constructor(about: KeptLogAbout, spool: Spool, lock: RunLock) {
    this.about = about;
    this.spool = spool;
    this.#lock = lock;
  }

  /**
   * Opens the kept log of a folder; makes one, from where `describe` says, when
   * the folder is empty. GW7001 when another process writes it, GW1001 when the
   * folder holds something else.
   */
  static async open(dir: string, options: SpoolOptions, describe: () => Promise<KeptLogAbout>): Promise<KeptLog> {
    guarded(`Making ${dir}`, () => mkdirSync(dir, { recursive: true, mode: DIR_MODE }));
    if (!existsSync(aboutPath(dir)) && readdirSync(dir).some((name) => !OWN.has(name))) {
      throw new GodwitError('GW1001', `--spool ${dir} holds something else; choose an empty folder`, {
        details: { option: 'spool', dir },
      });
    }
    const lock = acquireLock(lockPaths(dir), `The kept log ${dir}`);
    try {
      const about = readAbout(dir) ?? writeAbout(dir, await describe());
      return new KeptLog(about, await Spool.open(spoolDir(dir), options), lock);
    } catch (error) {
      lock.release();
      throw error;
    }
  }

  async close(): Promise<void> {
    try {
      await this.spool.close();
    } finally {
      this.#lock.release();
    }
  }
}

/** Looks at the kept log of a folder; GW1001 when there is none. */
export function readKeptLog(dir: string): KeptLogView {
  const about = readAbout(dir);
  if (about === undefined) {
    throw new GodwitError('GW1001', `--spool ${dir} holds no log; \`godwit migrate spool\` makes one`, {
      details: { option: 'spool', dir },
    });
  }
  return { about, spoolDir: spoolDir(dir), isWritten: () => lockHolder(lockPaths(dir)) !== undefined };
}

const ABOUT = 'about.json';
const OWN = new Set([ABOUT, `${ABOUT}.new`, 'lock.db', 'lock.db-journal', 'lock.pid', 'log']);

function aboutPath(dir: string): string {
  return join(dir, ABOUT);
}

function spoolDir(dir: string): string {
  return join(dir, 'log');
}

function lockPaths(dir: string): { lock: string; lockOwner: string } {
  return { lock: join(dir, 'lock.db'), lockOwner: join(dir, 'lock.pid') };
}

function readAbout(dir: string): KeptLogAbout | undefined {
  if (!existsSync(aboutPath(dir))) return undefined;
  const about = guarded(aboutPath(dir), () => JSON.parse(readFileSync(aboutPath(dir), 'utf8')) as KeptLogAbout);
  if (about.version > 1) {
    throw new GodwitError('GW9002', `${aboutPath(dir)} has version ${about.version}; this Godwit reads up to 1`, {
      details: { found: about.version, known: 1 },
    });
  }
  return about;
}

/** Whole or not at all, also after a power cut. */
function writeAbout(dir: string, about: KeptLogAbout): KeptLogAbout {
  const path = `${aboutPath(dir)}.new`;
  guarded(path, () => {
    const file = openSync(path, 'w', FILE_MODE);
    try {
      writeSync(file, `${JSON.stringify(about, null, 2)}\n`);
      fsyncSync(file);
    } finally {
      closeSync(file);
    }
    renameSync(path, aboutPath(dir));
    syncDir(dir);
  });
  return about;
}
