/**
 * The walk of a round that knows what may have changed: it goes through the
 * catalog of the last round, and looks only at what the changes name. Its steps
 * come in the order of the walk; what was not looked at passes as it was.
 */
import { closeSync } from 'node:fs';
import { invariant } from '../../../kernel/errors.ts';
import type { Changes } from '../capture/changes.ts';
import type { BytePath, Name } from '../libc/bytes.ts';
import { listNames } from '../libc/directory.ts';
import type { NameList } from '../libc/name-list.ts';
import { errnoOf } from '../libc/native.ts';
import { O, openForReading, unless } from '../libc/open.ts';
import { type Stat, statFd } from '../libc/stat.ts';
import type { CatalogReader } from './catalog.ts';
import { type CatalogRecord, keyOf } from './catalog-record.ts';
import type { SourceRoot } from './roots.ts';
import { type EnterStep, type EntryStep, GONE, look, type Step, type WalkOptions } from './walk.ts';

/** A step that looked; or a record that passes: `isDirectory` when what follows is in it. */
export type CapturedStep =
  | Step
  | {
      readonly kind: 'pass';
      readonly record: CatalogRecord;
      readonly isDirectory: boolean;
      readonly isLeaving: boolean;
    }
  | { readonly kind: 'gone'; readonly record: CatalogRecord }
  /** The end of a directory that is there since before: its descriptor, unless it cannot be had just now. */
  | {
      readonly kind: 'pass-leave';
      readonly record: CatalogRecord;
      readonly isChanged: boolean;
      open(): number | undefined;
    };

interface CapturedWalkOptions extends WalkOptions {
  readonly mapping: number;
  readonly before: CatalogReader;
  readonly changes: Changes;
  /** What could not be looked at now; it belongs to the next round. */
  readonly later: Changes;
  /** Names that were renamed, as keys: where one of them is gone, what was in it stays for this round. */
  readonly leaving: ReadonlySet<string>;
}

interface Frame {
  readonly path: BytePath;
  readonly identity: string;
  /** What may be in it by now: of a directory that is new, all that is. */
  names: NameList;
  isNew: boolean;
  readonly isChanged: boolean;
  /** It is gone, and may be needed elsewhere: nothing of it counts as known any more. */
  readonly isLeaving: boolean;
  next: number;
  fd: number | undefined;
  stat: Stat | undefined;
}

/** Whether the catalog knows this root, so that a walk along it can be made at all. */
export function knowsRoot({ next }: CatalogReader, mapping: number, root: SourceRoot): boolean {
  return next?.mapping === mapping && next.path === '' && identityIn(next) === statFd(root.fd).identity;
}

export function* capturedWalk(root: SourceRoot, options: CapturedWalkOptions): Generator<CapturedStep, void, void> {
  const walk = new CapturedWalk(root, options);
  try {
    yield* walk.steps();
  } finally {
    walk.close();
  }
}

class CapturedWalk {
  readonly #rootFd: number;
  readonly #options: CapturedWalkOptions;
  readonly #frames: Frame[] = [];

  constructor(root: SourceRoot, options: CapturedWalkOptions) {
    this.#rootFd = root.fd;
    this.#options = options;
  }

  *steps(): Generator<CapturedStep, void, void> {
    const stat = statFd(this.#rootFd);
    const enter: EnterStep = { kind: 'enter', path: '', name: '', fd: this.#rootFd, stat, isLeft: false };
    yield* this.#enterKnown(enter);
    while (this.#frames.length > 0) yield* this.#one(this.#frames.at(-1) as Frame);
  }

  close(): void {
    for (const frame of this.#frames.splice(0)) this.#closeFrame(frame);
  }

  *#one(top: Frame): Generator<CapturedStep, void, void> {
    const { before, changes } = this.#options;
    const record = this.#next;
    const isEnd = record?.kind === 'leave' && record.path === top.path;
    const child = record === undefined || record.kind === 'leave' ? undefined : nameIn(top.path, record.path);
    const name = top.names.at(top.next);
    // Of a directory that is new all names are looked at, and what the catalog has besides is gone.
    const isNext = name !== undefined && (top.isNew || isEnd || (child !== undefined && name <= child));
    if (isNext) {
      top.next += 1;
      yield* this.#look(top, name, name === child ? record : undefined, false);
    } else if (top.isNew) {
      yield { kind: 'leave', path: top.path, fd: top.fd as number, stat: top.stat as Stat };
      this.#pop();
    } else if (record !== undefined && child !== undefined) {
      if (record.kind === 'partial' || changes.has(identityIn(record))) yield* this.#look(top, child, record, true);
      else yield* this.#pass(record);
    } else if (record !== undefined && isEnd) {
      before.skip();
      yield { kind: 'pass-leave', record, isChanged: top.isChanged, open: () => this.#open(top) };
      this.#pop();
    } else {
      // What was in something that is gone, or is another thing now, went with it.
      invariant(record && isBelow(top.path, record.path), 'The catalog does not end a directory');
      before.skip();
    }
  }

  /**
   * What a name is by now. `record` is what the catalog says of it, and comes next in there. Unless `isSame`, the name was
   * made anew: also with the number of an inode that was free by then, so that nothing in it is known.
   */
  *#look(
    top: Frame,
    name: Name,
    record: CatalogRecord | undefined,
    isSame: boolean,
  ): Generator<CapturedStep, void, void> {
    const { before } = this.#options;
    const fd = this.#open(top);
    if (fd === undefined) {
      // Moved or removed since: events say where to, or that it is gone.
      this.#later(top, name, record);
      if (record !== undefined) yield* this.#pass(record);
      return;
    }
    const step = look({ path: top.path, fd, stat: top.stat as Stat }, name, this.#options);
    if (step === undefined) {
      if (record === undefined) return;
      if (this.#options.leaving.has(keyOf(record))) {
        this.#later(top, name, record);
        yield* this.#pass(record, true);
        return;
      }
      before.skip();
      yield { kind: 'gone', record };
    } else if (step.kind === 'entry') yield* this.#entry(top, step, record);
    else if (isSame && record !== undefined && identityIn(record) === step.stat.identity) yield* this.#enterKnown(step);
    else yield* this.#enterNew(step);
  }

  *#entry(top: Frame, step: EntryStep, record: CatalogRecord | undefined): Generator<CapturedStep, void, void> {
    // All names of a file must be looked at in one round, and some may have been passed already.
    if (step.stat.nlink > 1 && !this.#options.changes.has(step.stat.identity)) {
      this.#later(top, step.name, record);
      this.#options.later.addAll(step.stat.identity);
      if (record !== undefined) yield* this.#pass(record);
      return;
    }
    yield step;
  }

  *#enterKnown(step: EnterStep): Generator<CapturedStep, void, void> {
    const frame = this.#push(step, this.#namesOf(step.stat.identity), this.#options.changes.has(step.stat.identity));
    yield step;
    // Its record is taken by now. What follows tells whether it was a directory then.
    if (!isOfDirectory(step.path, this.#next)) this.#readAll(frame, step);
  }

  *#enterNew(step: EnterStep): Generator<CapturedStep, void, void> {
    this.#readAll(this.#push(step, [], true), step);
    yield step;
  }

  #readAll(frame: Frame, step: EnterStep): void {
    frame.isNew = true;
    frame.names = step.isLeft ? [] : (unless(GONE, () => listNames(step.fd)) ?? []);
  }

  #namesOf(identity: string): readonly Name[] {
    return [...(this.#options.changes.names.get(identity) ?? [])].sort();
  }

  /** The next record of this root. */
  get #next(): CatalogRecord | undefined {
    const { next } = this.#options.before;
    return next?.mapping === this.#options.mapping ? next : undefined;
  }

  /** Lets a record pass, with what is in it. */
  *#pass(known: CatalogRecord, isGone = false): Generator<CapturedStep, void, void> {
    this.#options.before.skip();
    const isLeaving = isGone || this.#frames.at(-1)?.isLeaving === true;
    // Should it come back, the target is asked for it.
    const record = isLeaving ? { ...known, settled: false } : known;
    const { path } = record;
    const isDirectory = isOfDirectory(path, this.#next);
    if (isDirectory) {
      const identity = identityIn(record);
      const isChanged = this.#options.changes.has(identity);
      const names = this.#namesOf(identity);
      const closed = { next: 0, fd: undefined, stat: undefined };
      this.#frames.push({ path, identity, names, isNew: false, isChanged, isLeaving, ...closed });
    }
    yield { kind: 'pass', record, isDirectory, isLeaving };
  }

  #push({ path, fd, stat }: EnterStep, names: readonly Name[], isChanged: boolean): Frame {
    const frame: Frame = {
      ...{ path, identity: stat.identity, names, isNew: false, isChanged, isLeaving: false },
      ...{ next: 0, fd, stat },
    };
    this.#frames.push(frame);
    return frame;
  }

  #pop(): void {
    this.#closeFrame(this.#frames.pop() as Frame);
  }

  #closeFrame({ fd }: Frame): void {
    if (fd !== undefined && fd !== this.#rootFd) closeSync(fd);
  }

  #later(top: Frame, name: Name, record: CatalogRecord | undefined): void {
    this.#options.later.addName(top.identity, name);
    if (record !== undefined) this.#options.later.addAll(identityIn(record));
  }

  /** The directory itself, opened when it is needed; undefined when something else is where it was. */
  #open(frame: Frame): number | undefined {
    if (frame.fd !== undefined) return frame.fd;
    const at = this.#frames.indexOf(frame);
    const parent = this.#frames[at - 1];
    const parentFd = parent && this.#open(parent);
    if (parent === undefined || parentFd === undefined) return undefined;
    const name = nameIn(parent.path, frame.path) as Name;
    let fd: number;
    try {
      fd = openForReading(parentFd, name, O.DIRECTORY);
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      return undefined;
    }
    const stat = statFd(fd);
    if (stat.identity === frame.identity) {
      frame.fd = fd;
      frame.stat = stat;
      return fd;
    }
    closeSync(fd);
    return undefined;
  }
}

function identityIn({ signature }: CatalogRecord): string {
  return signature.slice(0, 16);
}

/** The name by which `path` is directly in a directory; undefined when it is not. */
function nameIn(directory: BytePath, path: BytePath): Name | undefined {
  if (!isBelow(directory, path)) return undefined;
  const name = directory === '' ? path : path.slice(directory.length + 1);
  return name.includes('/') ? undefined : name;
}

/** Whether the record after that of `path` says that it is a directory. */
function isOfDirectory(path: BytePath, next: CatalogRecord | undefined): boolean {
  return next !== undefined && (isBelow(path, next.path) || (next.kind === 'leave' && next.path === path));
}

function isBelow(directory: BytePath, path: BytePath): boolean {
  return directory === '' ? path !== '' : path.startsWith(`${directory}/`);
}
