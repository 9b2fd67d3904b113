/**
 * Knows what changed in the source since it was last asked, without looking at
 * it. Names, metadata and writes come from the events of the file systems, stores
 * through mappings from the trace of dirty pages. Where either of them lost
 * something, everything may have changed: that is said, and counted.
 */
import { closeSync } from 'node:fs';
import type { Name } from '../libc/bytes.ts';
import { identityOfHandle, statOfHandle } from '../libc/handle.ts';
import { errnoOf } from '../libc/native.ts';
import type { SourceRoot } from '../source/roots.ts';
import { SMALL_FILE } from '../wire/operation.ts';
import { Changes } from './changes.ts';
import { pageSize } from './dirty-ranges.ts';
import { type FileEvent, MASK } from './events.ts';
import { mountsBelow, openFileSystems } from './mounts.ts';
import { Notify } from './notify.ts';
import { Trace, type TraceSink } from './trace.ts';

export interface CaptureOptions {
  /** Identities of directories whose files are no part of the source: Godwit's own. */
  readonly own: ReadonlySet<string>;
  /** How much the kernel may keep for us; tests make it lose some. */
  readonly queue?: 'unlimited' | 'limited';
  readonly ringKiB?: number;
  /** How often it is taken out of the kernel. */
  readonly drainEveryMs?: number;
  /** Whether stores through mappings are traced; without it they are seen by no round that is captured. */
  readonly trace?: boolean;
}

interface CaptureCounts {
  /** Events of file systems. */
  events: number;
  /** Pages and inodes that became dirty. */
  dirtied: number;
  /** How often something was lost, so that everything has to be looked at. */
  lost: number;
  /** How often a file was written to so much that it was not told any more, up to the next round. */
  ignored: number;
}

const DRAIN_EVERY_MS = 50;
/** Of files that were written to all the time before: until their writes are left out again. */
const DRAIN_SOON_MS = 5;
/** Files on one file system whose writes are left out at the same time: the kernel keeps them in memory. */
const MOST_IGNORED = 1_000;
const RING_KIB = 4096;
/** What was renamed beyond these is sent anew. */
const MOST_RENAMED = 50_000;
/** Some changes are told when they begin, and take their time. */
const WHOLE_FOR_MS = 60_000;

/** Events of one file system, as handles: what they lead to is asked when it is needed. */
interface Watched {
  readonly fd: number;
  readonly device: string;
  readonly notify: Notify;
  readonly names: Map<Name, Set<Name>>;
  readonly inodes: Set<Name>;
  /** Those of them that were written to. */
  readonly written: Set<Name>;
  /** Those of them whose further writes are not told, and those of before: nothing of them is left to be known. */
  ignored: Set<Name>;
  wasIgnored: ReadonlySet<Name>;
  /** Names of what was renamed, by the inode. */
  readonly renamed: Map<Name, FileEvent['names'][number][]>;
}

export class Capture implements Disposable {
  readonly counts: CaptureCounts = { events: 0, dirtied: 0, lost: 0, ignored: 0 };
  readonly #options: CaptureOptions;
  readonly #watched: Watched[] = [];
  readonly #roots: readonly SourceRoot[];
  #mounts: readonly string[] = [];
  readonly #timer: NodeJS.Timeout;
  readonly #trace: Trace | undefined;
  #changes = new Changes();
  /** Files whose content changed where no page tells it, and when that was said. */
  readonly #whole = new Map<string, number>();
  readonly #sink: TraceSink = {
    onInode: (inode) => {
      this.counts.dirtied += 1;
      this.#changes.addInode(inode);
    },
    onPage: (inode, index) => {
      this.counts.dirtied += 1;
      this.#changes.addPage(inode, index);
    },
    onRange: (inode, start, end) => {
      for (let at = Math.floor(start / pageSize()); at * pageSize() < end; at += 1) this.#changes.addPage(inode, at);
    },
    onWhole: (identity) => this.#whole.set(identity, performance.now()),
  };
  /** Why nothing can be told any more. */
  #blind: string | undefined;

  /** From now on nothing escapes. Throws where the kernel or our rights do not allow it. */
  constructor(roots: readonly SourceRoot[], options: CaptureOptions) {
    this.#options = options;
    this.#changes.everything = 'nothing was looked at yet';
    this.#roots = roots;
    try {
      this.#watch();
      this.#trace = options.trace === false ? undefined : new Trace(options.ringKiB ?? RING_KIB);
    } catch (error) {
      this.#closeWatched();
      throw error;
    }
    this.#timer = setInterval(() => this.#drain(), options.drainEveryMs ?? DRAIN_EVERY_MS);
    this.#timer.unref();
  }

  /** What may have changed since the last time, up to now. Whoever does not get it done puts it back. */
  take(): Changes {
    this.#hearWrites();
    // From here on nothing may be left out: it would be missing the next time.
    this.#drain(false);
    this.#orBlind(() => {
      if (this.#watch()) this.#lose('something was mounted or unmounted');
    });
    if (this.#blind !== undefined) this.#lose(this.#blind);
    for (const watched of this.#watched) this.#resolve(watched);
    const taken = this.#changes;
    this.#changes = new Changes();
    taken.exact = this.#trace?.exact ?? taken.exact;
    const now = performance.now();
    for (const [identity, atMs] of this.#whole) {
      taken.whole.add(identity);
      if (now - atMs > WHOLE_FOR_MS) this.#whole.delete(identity);
    }
    return taken;
  }

  putBack(changes: Changes): void {
    this.#changes.add(changes);
  }

  /** Watches all file systems of the source; tells whether others are mounted now than the last time. */
  #watch(): boolean {
    const mounts = mountsBelow(this.#roots);
    if (this.#watched.length > 0 && mounts.join('\n') === this.#mounts.join('\n')) return false;
    this.#mounts = mounts;
    const opened = openFileSystems(this.#roots, mounts, new Set(this.#watched.map(({ device }) => device)));
    for (const [at, { device, fd }] of opened.entries()) {
      try {
        const notify = new Notify(fd, this.#options.queue ?? 'unlimited');
        this.#watched.push({
          fd,
          device,
          notify,
          names: new Map(),
          inodes: new Set(),
          written: new Set(),
          ignored: new Set(),
          wasIgnored: new Set(),
          renamed: new Map(),
        });
      } catch (error) {
        for (const left of opened.slice(at)) closeSync(left.fd);
        throw error;
      }
    }
    return true;
  }

  /**
   * What was left out up to now is told to be written to; what comes from now on is told anew. This has to be before the
   * last events are taken: a write is told after it is done, so that who looks at the file later finds it there.
   */
  #hearWrites(): void {
    this.#orBlind(() => {
      let isAny = false;
      for (const watched of this.#watched) {
        if (watched.ignored.size > 0) {
          watched.notify.hearWrites();
          isAny = true;
        }
        watched.wasIgnored = watched.ignored;
        watched.ignored = new Set();
      }
      if (isAny) setTimeout(() => this.#drain(), DRAIN_SOON_MS).unref();
    });
  }

  /** It is known that it was written to: that it was again says nothing more, until that is asked for. */
  #ignore({ notify, ignored }: Watched, handle: Name): void {
    if (ignored.has(handle) || ignored.size >= MOST_IGNORED || !notify.ignoreWrites(handle)) return;
    ignored.add(handle);
    this.counts.ignored += 1;
  }

  #drain(mayIgnore = true): void {
    this.#orBlind(() => {
      for (const watched of this.#watched) watched.notify.drain((event) => this.#event(watched, event, mayIgnore));
      const isComplete = this.#trace?.drain(this.#sink);
      if (isComplete === false) this.#lose('the trace of dirty pages lost some');
    });
  }

  /** What fails here must not end a move: from then on every round looks at everything. */
  #orBlind(work: () => void): void {
    try {
      work();
    } catch (error) {
      if (errnoOf(error) === undefined) throw error;
      this.#blind ??= `changes cannot be told any more: ${(error as Error).message}`;
    }
  }

  #event(watched: Watched, event: FileEvent, mayIgnore: boolean): void {
    const { names, inodes, written, renamed, wasIgnored } = watched;
    this.counts.events += 1;
    if ((event.mask & MASK.OVERFLOW) !== 0) this.#lose('events of the file system were lost');
    // Only these say that a name means something else; with others the name is where it happened.
    const isOfNames = (event.mask & (MASK.CREATE | MASK.DELETE | MASK.RENAME)) !== 0;
    if (isOfNames)
      for (const { directory, name } of event.names) {
        const known = names.get(directory);
        if (known === undefined) names.set(directory, new Set([name]));
        else known.add(name);
      }
    if (event.inode === undefined) return;
    inodes.add(event.inode);
    if ((event.mask & MASK.MODIFY) !== 0) {
      const isMuch = written.has(event.inode) || wasIgnored.has(event.inode);
      if (mayIgnore && isMuch) this.#ignore(watched, event.inode);
      written.add(event.inode);
    }
    if ((event.mask & MASK.RENAME) === 0 || renamed.size > MOST_RENAMED) return;
    renamed.set(event.inode, [...(renamed.get(event.inode) ?? []), ...event.names]);
  }

  #resolve({ fd, names, inodes, written, renamed }: Watched): void {
    for (const [handle, all] of names) {
      const directory = this.#identity(fd, handle);
      // A directory that is gone is named by the event of the one that held it.
      if (directory === undefined || this.#options.own.has(directory)) continue;
      for (const name of all) this.#changes.addName(directory, name);
    }
    for (const handle of inodes) {
      const identity = this.#identity(fd, handle);
      if (identity === undefined) continue;
      this.#changes.identities.add(identity);
      if (written.has(handle)) this.#changes.written.add(identity);
    }
    for (const [handle, places] of renamed) {
      const stat = this.#led(() => statOfHandle(fd, handle));
      if (stat === undefined || !(stat.kind === 'directory' || (stat.kind === 'file' && stat.size > SMALL_FILE)))
        continue;
      for (const { directory, name } of places) {
        const identity = this.#led(() => identityOfHandle(fd, directory));
        if (identity !== undefined) this.#changes.addMoved(identity, name);
      }
    }
    renamed.clear();
    written.clear();
    names.clear();
    inodes.clear();
  }

  #identity(fd: number, handle: Name): string | undefined {
    return this.#led(() => identityOfHandle(fd, handle));
  }

  #led<T>(work: () => T): T | undefined {
    try {
      return work();
    } catch (error) {
      const code = errnoOf(error);
      if (code === undefined) throw error;
      this.#lose(`an event leads nowhere: ${code}`);
      return undefined;
    }
  }

  #lose(why: string): void {
    this.counts.lost += 1;
    this.#changes.everything ??= why;
  }

  #closeWatched(): void {
    for (const { fd, notify } of this.#watched.splice(0)) {
      notify.close();
      closeSync(fd);
    }
  }

  [Symbol.dispose](): void {
    clearInterval(this.#timer);
    this.#closeWatched();
    this.#trace?.close();
  }
}
