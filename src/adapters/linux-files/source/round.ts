import { throwIfAborted } from '../../../kernel/errors.ts';
import {
  type Content,
  closeContent,
  flagsOf,
  isStill,
  openContent,
  statOf,
  unreadableText,
  xattrsOf,
} from '../held/content.ts';
import type { BytePath } from '../libc/bytes.ts';
import { readLink } from '../libc/change.ts';
import { areLocking, readInodeFlags } from '../libc/inode-flags.ts';
import { errnoOf } from '../libc/native.ts';
import { O, openAt, withFd } from '../libc/open.ts';
import { type Stat, statFd } from '../libc/stat.ts';
import { readXattrs, throughProc } from '../libc/xattr.ts';
import { packMetadata } from '../wire/metadata.ts';
import { OP, SMALL_FILE } from '../wire/operation.ts';
import type { Outbox } from '../wire/outbox.ts';
import { type CapturedStep, capturedWalk, knowsRoot } from './captured-walk.ts';
import { type CatalogRecord, keyOf, walkKey } from './catalog-record.ts';
import { Clean, makeClean } from './clean.ts';
import { noteDevice } from './deleted.ts';
import { LargeContent } from './large-content.ts';
import type { Moved } from './moved.ts';
import { packSmallFile } from './read-file.ts';
import type { SourceRoot } from './roots.ts';
import type { Captured, RoundContext } from './round-context.ts';
import { type Step, walk } from './walk.ts';

const RECORDS = 64 * 1024;
/** How much of a signature is the identity (see Stat). */
const IDENTITY = 16;
const NONE: ReadonlySet<string> = new Set();

export async function runRound(context: RoundContext): Promise<void> {
  const round = new Round(context);
  for (const [mapping, root] of context.roots.entries()) await round.mapping(mapping, root);
  await round.finish();
}

/** The first name of a file that has several. */
interface FirstName {
  readonly mapping: number;
  readonly path: BytePath;
  left: number;
  /** Whether it was sent in this round: on the target it is another file now, and the other names are links to the old one. */
  isSent: boolean;
}

interface Frame {
  readonly path: BytePath;
  readonly isNew: boolean;
  readonly isAdopted: boolean;
  /** Whether anything was made or removed in it, which changes its times. */
  isTouched: boolean;
}

class Round {
  readonly #context: RoundContext;
  readonly #outbox: Outbox;
  readonly #large: LargeContent;
  readonly #frames: Frame[] = [];
  /** Where the target stands: only operations of the bundle that is being filled may rely on it. */
  #at: string | undefined;
  #mapping = 0;
  readonly #clean = new Clean();
  /** Files with several names: the first of them, and how many are still to come. */
  readonly #links = new Map<string, FirstName>();
  readonly #locks: { mapping: number; path: BytePath; flags: number }[] = [];
  readonly #repair = new Set<string>();
  /** Names that are gone and were left on the target, as keys; and files that were taken from there, or from what comes later. */
  readonly #left = new Set<string>();
  readonly #taken = new Set<string>();
  #removed: BytePath | undefined;

  constructor(context: RoundContext) {
    this.#context = context;
    this.#outbox = context.outbox;
    this.#large = new LargeContent({
      ...context,
      mapping: () => this.#mapping,
      begin: (path) => this.#begin(path),
      flush: () => this.#flush(),
    });
    for (const { mapping, path } of context.repair) {
      this.#repair.add(walkKey(mapping, path));
      this.#repair.add(walkKey(mapping, path, true));
      // Its directory gets its times again.
      this.#repair.add(walkKey(mapping, parentOf(path), true));
    }
  }

  async mapping(mapping: number, root: SourceRoot): Promise<void> {
    this.#mapping = mapping;
    this.#at = undefined;
    for (const { path, kind, ...of } of this.#context.repair)
      if (kind === 'extra' && of.mapping === mapping) this.#takeAway(path);
    for (const step of this.#steps(mapping, root)) {
      await this.#step(step);
      if (this.#outbox.isFull) await this.#flush();
      else if (this.#context.after.pending >= RECORDS) this.#endBlock();
    }
  }

  #steps(mapping: number, root: SourceRoot): Iterable<CapturedStep> {
    const { own, onRemark, before, repair } = this.#context;
    const captured = this.#told;
    const canPass =
      captured !== undefined &&
      captured.changes.everything === undefined &&
      repair.length === 0 &&
      knowsRoot(before, mapping, root);
    return canPass
      ? capturedWalk(root, { own, onRemark, before, mapping, ...captured, leaving: this.#moved?.leaving ?? NONE })
      : walk(root.fd, { own, onRemark });
  }

  async #step(step: CapturedStep): Promise<void> {
    if (step.kind === 'entry') await this.#entry(step);
    else if (step.kind === 'enter') this.#enter(step);
    else if (step.kind === 'leave') this.#leave(step, this.#before(step.path, true) ?? this.#adoptedLeave(step));
    else if (step.kind === 'gone') this.#gone(step.record);
    else if (step.kind === 'pass') this.#pass(step);
    else {
      const { record } = step;
      const fd = step.isChanged || this.#parent().isTouched ? step.open() : undefined;
      if (fd !== undefined) return this.#leave({ path: record.path, fd, stat: statFd(fd) }, record);
      if (step.isChanged || this.#parent().isTouched) {
        this.#context.counts.unsettled += 1;
        this.#later(record.signature.slice(0, IDENTITY));
      }
      this.#frames.pop();
      this.#add(record);
    }
  }

  /** Nothing happened to it. */
  #pass({ record, isDirectory, isLeaving }: CapturedStep & { kind: 'pass' }): void {
    if (isDirectory) this.#frames.push({ path: record.path, isNew: false, isAdopted: false, isTouched: false });
    const key = keyOf(record);
    if (isLeaving && record.kind === 'entry') this.#left.add(key);
    this.#add(this.#taken.has(key) ? { ...record, settled: false } : record);
  }

  /** When this round looks at what changed alone. */
  get #told(): Captured | undefined {
    const { captured } = this.#context;
    return captured?.isTold ? captured : undefined;
  }

  /** Only in such a round is what was renamed left where it was until the next one. */
  get #moved(): Moved | undefined {
    return this.#told && this.#context.moved;
  }

  /** The next round must look at it again. */
  #later(identity: string): void {
    this.#told?.later.identities.add(identity);
  }

  #takeAway(path: BytePath): void {
    // What is below a name that goes too is gone by then, with the directory it was in.
    const isBelow = this.#context.repair.some(
      ({ kind, path: other }) => kind === 'extra' && path.startsWith(`${other}/`),
    );
    if (isBelow) return;
    const operations = this.#goTo(parentOf(path));
    operations.u8(OP.remove);
    operations.text(path.slice(path.lastIndexOf('/') + 1));
    this.#context.counts.removed += 1;
  }

  async finish(): Promise<void> {
    const { before } = this.#context;
    // What comes after all that there is: names at the end of the last root.
    before.take('\uffff\uffff', (record) => this.#gone(record));
    for (const { mapping, path, flags } of this.#locks) {
      this.#outbox.operations.u8(OP.lock);
      this.#outbox.operations.u16(mapping);
      this.#outbox.operations.text(path);
      this.#outbox.operations.u32(flags);
    }
    await this.#flush();
    await this.#outbox.drain();
    const { counts } = this.#context;
    if (this.#told?.later.isEmpty === false) counts.unsettled = Math.max(1, counts.unsettled);
  }

  async #flush(): Promise<void> {
    throwIfAborted(this.#context.signal);
    this.#endBlock();
    await this.#outbox.flush();
    this.#at = undefined;
    this.#context.onProgress();
  }

  /** Records are true when the bundle is carried out that is being filled now; where it is empty, the one before. */
  #endBlock(): void {
    this.#context.after.endBlock(this.#outbox.operations.length > 0 ? this.#outbox.next : this.#outbox.sent);
  }

  #enter(step: Step & { kind: 'enter' }): void {
    const { counts } = this.#context;
    const known = this.#before(step.path);
    const old = known ?? this.#adopted(step);
    counts.entries += 1;
    if (!this.#clean.has(step.stat.device)) this.#clean.make(step.fd, step.stat.device);
    noteDevice(this.#context.devices, step.stat);
    const isChanged = old === undefined || old.signature !== step.stat.signature;
    // Also of one that is there already: the name may have been another thing before.
    if (isChanged && step.path !== '') {
      const operations = this.#begin(step.path);
      operations.u8(OP.enter);
      operations.text(step.name);
      this.#at = step.path;
      if (old === undefined) counts.sent += 1;
    }
    const isAdopted = known === undefined && old !== undefined;
    this.#frames.push({ path: step.path, isNew: old === undefined, isAdopted, isTouched: isChanged });
    this.#record('entry', step.path, step.stat, true);
  }

  #leave(step: Pick<Step & { kind: 'leave' }, 'path' | 'fd' | 'stat'>, old: CatalogRecord | undefined): void {
    const frame = this.#frames.pop() as Frame;
    // A directory may have changed since it was entered.
    const stat = statFd(step.fd);
    const isSettled = this.#clean.isSettled(stat) && stat.signature === step.stat.signature;
    if (frame.isTouched || old === undefined || old.signature !== stat.signature || !old.settled) {
      this.#goTo(step.path);
      this.#outbox.operations.u8(OP.leave);
      packMetadata(this.#outbox.operations, stat, readInodeFlags(step.fd), readXattrs(step.fd));
      this.#at = undefined;
      if (!frame.isNew) this.#context.counts.sent += old === undefined || old.signature !== stat.signature ? 1 : 0;
      // With capture, what changes from now on is told.
      if (!isSettled && this.#told === undefined) this.#unsettled(step.path);
    }
    this.#record('leave', step.path, stat, isSettled);
  }

  async #entry(step: Step & { kind: 'entry' }): Promise<void> {
    const { counts } = this.#context;
    const old = this.#before(step.path) ?? this.#adopted(step);
    counts.entries += 1;
    if (step.stat.kind === 'file') counts.bytes += step.stat.size;
    const first = this.#firstName(step.stat, step.path);
    const isSame = old?.kind === 'entry' && old.settled && old.signature === step.stat.signature;
    if (isSame && first?.isSent !== true) {
      this.#record('entry', step.path, step.stat, true);
      return;
    }
    try {
      if (!this.#clean.has(step.stat.device)) makeClean(this.#clean, step);
      if (first !== undefined) this.#link(step, first);
      else if (step.stat.kind === 'file') await this.#file(step, old);
      else this.#special(step);
    } catch (error) {
      const code = errnoOf(error);
      if (code === undefined) throw error;
      // Gone, or another thing by now: the next round sees it.
      if (['ENOENT', 'ELOOP', 'ENXIO', 'ESTALE'].includes(code)) this.#vanished(step);
      else this.#context.onRemark({ why: 'unreadable', path: step.path, detail: unreadableText(error) });
      this.#keep(old);
    }
  }

  /** It could not be opened, and is read all the same. */
  #held({ path }: Step, detail: string): void {
    this.#context.onRemark({ why: 'held', path, detail });
  }

  /** It was there a moment ago. */
  #vanished(step: Step & { kind: 'entry' }): void {
    this.#context.counts.unsettled += 1;
    this.#told?.later.addName(statFd(step.dirFd).identity, step.name);
  }

  /** The target has what it had: it is to be removed, or sent, when the next round finds out. */
  #keep(old: CatalogRecord | undefined): void {
    if (old === undefined) return;
    this.#add({ ...old, settled: false });
    this.#context.captured?.later.addAll(old.signature.slice(0, IDENTITY));
  }

  /** The first name of a file that has more, when this is not it. */
  #firstName(stat: Stat, path: BytePath): FirstName | undefined {
    if (stat.nlink < 2) return undefined;
    const known = this.#links.get(stat.identity);
    if (known === undefined) {
      this.#links.set(stat.identity, { mapping: this.#mapping, path, left: stat.nlink - 1, isSent: false });
      return undefined;
    }
    known.left -= 1;
    if (known.left <= 0) this.#links.delete(stat.identity);
    return known;
  }

  #link(step: Step & { kind: 'entry' }, first: { mapping: number; path: BytePath }): void {
    const operations = this.#begin(step.path);
    operations.u8(OP.link);
    operations.text(step.name);
    operations.u16(first.mapping);
    operations.text(first.path);
    this.#sent(step, step.stat, true);
  }

  #special(step: Step & { kind: 'entry' }): void {
    const { stat, name, dirFd } = step;
    const xattrs = withFd(openAt(dirFd, name, O.PATH), (fd) => readXattrs(throughProc(fd)));
    const target = stat.kind === 'symlink' ? readLink(dirFd, name) : '';
    const operations = this.#begin(step.path);
    operations.u8(stat.kind === 'symlink' ? OP.symlink : OP.node);
    operations.text(name);
    packMetadata(operations, stat, 0, xattrs);
    if (stat.kind === 'symlink') operations.text(target);
    else {
      operations.u32(stat.rdevMajor);
      operations.u32(stat.rdevMinor);
    }
    this.#sent(step, stat, true);
  }

  async #file(step: Step & { kind: 'entry' }, old: CatalogRecord | undefined): Promise<void> {
    const { stat, name, dirFd } = step;
    if (stat.size <= SMALL_FILE && stat.blocks * 512 >= stat.size) {
      const operations = this.#begin(step.path);
      const start = operations.length;
      const packed = packSmallFile(operations, dirFd, name, {
        flags: (flags) => this.#lockLater(step, flags),
        held: (how) => this.#held(step, how),
      });
      if (packed === undefined) {
        operations.cutTo(start);
        this.#vanished(step);
        return this.#keep(old);
      }
      if (packed !== 'large') {
        this.#context.counts.sentBytes += packed.stat.size;
        this.#sent(step, packed.stat, packed.isWhole);
        return;
      }
    }
    const content = openContent(dirFd, name, (how) => this.#held(step, how));
    try {
      const before = statOf(content);
      if (before.kind !== 'file') {
        this.#vanished(step);
        return this.#keep(old);
      }
      await this.#largeFile(step, content, before, old);
    } finally {
      closeContent(content);
    }
  }

  async #largeFile(
    step: Step & { kind: 'entry' },
    file: Content,
    before: Stat,
    old: CatalogRecord | undefined,
  ): Promise<void> {
    const flags = flagsOf(file);
    const known = old?.signature.startsWith(before.identity) ? old : await this.#movedHere(step, before);
    if (await this.#large.difference(step, file, before, known)) return this.#endLarge(step, file, before, flags);
    const isResumed = old?.kind === 'partial' && old.signature === before.signature;
    const from = isResumed ? old.reached : 0;
    if (!isResumed) {
      const operations = this.#begin(step.path);
      operations.u8(OP.begin);
      operations.text(step.name);
      packMetadata(operations, before, flags, []);
      operations.long(before.size);
    }
    const onPart = (reached: number) =>
      this.#add({ kind: 'partial', path: step.path, signature: before.signature, settled: false, reached });
    await this.#large.all(step, file, { before, from, onPart });
    this.#endLarge(step, file, before, flags);
  }

  /** Has the target take a file to this name that it has under another one; gives what is known of it then. */
  async #movedHere(step: Step & { kind: 'entry' }, before: Stat): Promise<CatalogRecord | undefined> {
    const from = this.#moved?.files.get(before.identity);
    if (from === undefined || before.nlink !== 1) return undefined;
    const to = { mapping: this.#mapping, path: step.path };
    const key = walkKey(from.mapping, from.path);
    // Where this round has been already, the target may have something else by now.
    if (this.#taken.has(key) || !(this.#left.has(key) || key > walkKey(to.mapping, to.path))) return undefined;
    this.#begin(step.path);
    await this.#flush();
    if (!(await this.#context.move(from, to))) return undefined;
    this.#taken.add(key);
    this.#context.counts.moved += 1;
    // The number of an inode is no proof: what it holds is compared.
    return { kind: 'entry', ...to, signature: before.signature, settled: false, reached: 0 };
  }

  #endLarge(step: Step & { kind: 'entry' }, file: Content, before: Stat, flags: number): void {
    const locks = before.nlink > 1 && areLocking(flags);
    const isWhole = isStill(file, before);
    const xattrs = xattrsOf(file);
    const operations = this.#begin(step.path);
    operations.u8(OP.end);
    operations.text(step.name);
    packMetadata(operations, before, locks ? 0 : flags, xattrs);
    if (areLocking(flags)) this.#lockLater(step, flags);
    this.#sent(step, before, isWhole);
  }

  #lockLater({ stat, path }: Step & { kind: 'entry' }, flags: number): void {
    if (stat.nlink > 1) this.#locks.push({ mapping: this.#mapping, path, flags });
  }

  /** `isWhole`: nobody changed it while it was read. */
  #sent(step: Step & { kind: 'entry' }, stat: Stat, isWhole: boolean): void {
    this.#context.counts.sent += 1;
    const first = this.#links.get(step.stat.identity);
    if (first?.path === step.path) first.isSent = true;
    const settled = isWhole && this.#clean.isSettled(stat);
    // With capture, a change after this is told; without, only what is settled would show one.
    if (this.#told === undefined ? !settled : !isWhole) this.#unsettled(step.path);
    if (!isWhole) this.#later(stat.identity);
    this.#record('entry', step.path, stat, settled);
  }

  #unsettled(path: BytePath): void {
    this.#context.counts.unsettled += 1;
    this.#context.onRemark({ why: 'changing', path });
  }

  #record(kind: 'entry' | 'leave', path: BytePath, stat: Stat, settled: boolean): void {
    this.#add({ kind, path, signature: stat.signature, settled, reached: 0 });
  }

  #add(record: Omit<CatalogRecord, 'mapping'>): void {
    this.#context.after.add({ ...record, mapping: this.#mapping });
  }

  /** What the catalog says of this step; what it has before it is gone from the source. */
  #before(path: BytePath, isLeave = false): CatalogRecord | undefined {
    const key = walkKey(this.#mapping, path, isLeave);
    const found = this.#context.before.take(key, (record) => this.#gone(record));
    return this.#repair.has(key) || this.#taken.has(key) ? undefined : found;
  }

  /** What the target had before this move, if that is what there is now. */
  #adopted({ path, stat }: Pick<Step, 'path' | 'stat'>): CatalogRecord | undefined {
    const { adopted } = this.#context;
    if (adopted === undefined || this.#repair.has(walkKey(this.#mapping, path))) return undefined;
    if (!adopted.has(this.#mapping, path, stat.signature)) return undefined;
    return { kind: 'entry', mapping: this.#mapping, path, signature: stat.signature, settled: true, reached: 0 };
  }

  #adoptedLeave({ path, stat }: Step & { kind: 'leave' }): CatalogRecord | undefined {
    if (!this.#parent().isAdopted || this.#repair.has(walkKey(this.#mapping, path, true))) return undefined;
    return { kind: 'leave', mapping: this.#mapping, path, signature: stat.signature, settled: true, reached: 0 };
  }

  #gone({ path, mapping }: CatalogRecord): void {
    const frame = this.#frames.at(-1);
    // With a directory goes what is in it; and what stood in a directory that is something else now is gone with that.
    if (frame === undefined || mapping !== this.#mapping || parentOf(path) !== frame.path || path === '') return;
    // A large file has more than one record.
    if (this.#removed === path) return;
    this.#removed = path;
    const operations = this.#begin(path);
    operations.u8(OP.remove);
    operations.text(path.slice(path.lastIndexOf('/') + 1));
    this.#context.counts.removed += 1;
  }

  /** Where an operation on this name is packed, with the target in its directory. */
  #begin(path: BytePath) {
    this.#parent().isTouched = true;
    return this.#goTo(parentOf(path));
  }

  #parent(): Frame {
    return this.#frames.at(-1) as Frame;
  }

  #goTo(path: BytePath) {
    const { operations } = this.#outbox;
    if (this.#at !== path) {
      operations.u8(OP.cd);
      operations.u16(this.#mapping);
      operations.text(path);
      this.#at = path;
    }
    return operations;
  }
}

function parentOf(path: BytePath): BytePath {
  return path.slice(0, Math.max(0, path.lastIndexOf('/')));
}
