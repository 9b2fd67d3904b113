/**
 * Changes to files of a moved system, each of which can be told and undone: what
 * was there is kept in the root, and written down before it is replaced.
 */
import {
  chmodSync,
  chownSync,
  closeSync,
  cpSync,
  existsSync,
  fsyncSync,
  lstatSync,
  mkdirSync,
  openSync,
  readFileSync,
  readlinkSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from 'node:fs';
import { dirname, join } from 'node:path';
import { place } from './inside-root.ts';

export const RECORD = 'var/lib/godwit/adaptation';

export interface Kept {
  /** From the root, without a leading slash. */
  readonly path: string;
  /** What was there; a file or link is in `before`. */
  readonly was: 'nothing' | 'kept';
  readonly why: string;
  readonly at: string;
}

interface RecordFile {
  readonly version: 1;
  readonly kept: readonly Kept[];
  /** By name of a step, what it was made of: an equal one needs not be done again. */
  readonly done: Readonly<Record<string, string>>;
}

/** What was kept, and what was done, in one root. */
export class AdaptationRecord {
  readonly #root: string;
  /** As the moved system would find it: a link in it must not lead to a directory of this machine. */
  readonly #dir: string;
  #kept: Kept[];
  #done: Record<string, string>;

  constructor(root: string) {
    this.#root = root;
    this.#dir = place(root, RECORD);
    const file = join(this.#dir, 'changes.json');
    const read = existsSync(file)
      ? (JSON.parse(readFileSync(file, 'utf8')) as RecordFile)
      : { version: 1 as const, kept: [], done: {} };
    this.#kept = [...read.kept];
    this.#done = { ...read.done };
  }

  get kept(): readonly Kept[] {
    return this.#kept;
  }

  isDone(step: string, of: string): boolean {
    return this.#done[step] === of;
  }

  setDone(step: string, of: string): void {
    this.#done[step] = of;
    this.#save();
  }

  /** Keeps what is there, once: a later run must not take our own for what was there. */
  keep(path: string, why: string): void {
    if (this.#kept.some((one) => one.path === path)) return;
    const from = place(this.#root, path);
    const isThere = lstatSync(from, { throwIfNoEntry: false }) !== undefined;
    if (isThere) {
      const to = join(this.#dir, 'before', path);
      mkdirSync(dirname(to), { recursive: true, mode: 0o700 });
      copyAsItIs(from, to);
    }
    this.#kept.push({ path, was: isThere ? 'kept' : 'nothing', why, at: new Date().toISOString() });
    this.#save();
  }

  /** Writes a file whole, with the mode and owner of the one it replaces. */
  write(path: string, text: string, why: string): void {
    this.keep(path, why);
    const file = place(this.#root, path);
    const before = lstatSync(file, { throwIfNoEntry: false });
    mkdirSync(dirname(file), { recursive: true });
    const part = `${file}.godwit`;
    writeFileSync(part, text, { mode: 0o644 });
    if (before?.isFile()) {
      chmodSync(part, before.mode & 0o7777);
      chownSync(part, before.uid, before.gid);
    }
    sync(part);
    renameSync(part, file);
  }

  link(path: string, to: string, why: string): void {
    this.keep(path, why);
    const file = place(this.#root, path);
    mkdirSync(dirname(file), { recursive: true });
    rmSync(file, { force: true });
    symlinkSync(to, file);
  }

  remove(path: string, why: string): void {
    this.keep(path, why);
    rmSync(place(this.#root, path), { force: true });
  }

  /** Puts everything back; gives the paths. */
  undo(): readonly string[] {
    const paths: string[] = [];
    for (const { path, was } of this.#kept.toReversed()) {
      const file = place(this.#root, path);
      rmSync(file, { force: true });
      if (was === 'kept') copyAsItIs(join(this.#dir, 'before', path), file);
      paths.push(path);
    }
    rmSync(this.#dir, { recursive: true, force: true });
    return paths;
  }

  #save(): void {
    const file = join(this.#dir, 'changes.json');
    mkdirSync(dirname(file), { recursive: true, mode: 0o700 });
    const state: RecordFile = { version: 1, kept: this.#kept, done: this.#done };
    writeFileSync(`${file}.part`, `${JSON.stringify(state, null, 2)}\n`, { mode: 0o600 });
    sync(`${file}.part`);
    renameSync(`${file}.part`, file);
  }
}

function copyAsItIs(from: string, to: string): void {
  const stat = lstatSync(from);
  if (stat.isSymbolicLink()) symlinkSync(readlinkSync(from), to);
  else {
    cpSync(from, to, { preserveTimestamps: true });
    chmodSync(to, stat.mode & 0o7777);
    chownSync(to, stat.uid, stat.gid);
  }
}

function sync(file: string): void {
  const fd = openSync(file, 'r');
  try {
    fsyncSync(fd);
  } finally {
    closeSync(fd);
  }
}
