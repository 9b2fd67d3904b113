/**
 * The content of a file that is too large for one operation: all of it, or what differs from what the target
 * has. Where the target has an older state, both sides say the sums of their blocks (wire/sums.ts).
 */
import { setImmediate as turn } from 'node:timers/promises';
import { dirtyRanges, pageSize } from '../capture/dirty-ranges.ts';
import { type Content, nextDataOf, readFully } from '../held/content.ts';
import type { BytePath } from '../libc/bytes.ts';
import type { Extent } from '../libc/extents.ts';
import { fileSystemType } from '../libc/file-system.ts';
import { type Stat, sizeIn, statFd } from '../libc/stat.ts';
import { OP, PIECE } from '../wire/operation.ts';
import type { Packer } from '../wire/packer.ts';
import { differing, parted, type Range, SUM_BLOCK, sumsOf } from '../wire/sums.ts';
import type { CatalogRecord } from './catalog-record.ts';
import { isDense } from './read-file.ts';
import type { RoundContext } from './round-context.ts';
import type { EntryStep } from './walk.ts';

export interface LargeContentParts extends Pick<RoundContext, 'outbox' | 'counts' | 'sums' | 'captured' | 'adopted'> {
  readonly mapping: () => number;
  /** Where an operation on this name is packed. */
  readonly begin: (path: BytePath) => Packer;
  readonly flush: () => Promise<void>;
}

const SMALL_HOLE = 1024 * 1024;

export class LargeContent {
  readonly #parts: LargeContentParts;

  constructor(parts: LargeContentParts) {
    this.#parts = parts;
  }

  /** Sends all the data from `from` on; `onPart` is told how far it is before each bundle that goes. */
  async all(
    step: EntryStep,
    file: Content,
    { before, from, onPart }: { readonly before: Stat; readonly from: number; readonly onPart: (to: number) => void },
  ): Promise<void> {
    let reached = from;
    const dense = isDense(file, before);
    for (;;) {
      const extent = dense
        ? reached < before.size
          ? { start: reached, end: before.size }
          : undefined
        : nextDataOf(file, reached, before.size);
      if (extent === undefined) return;
      for (reached = extent.start; reached < extent.end; ) {
        const length = Math.min(PIECE, extent.end - reached);
        this.#pack(step, file, reached, length);
        reached += length;
        if (!this.#parts.outbox.isFull) continue;
        onPart(reached);
        await this.#parts.flush();
      }
    }
  }

  /** Sends what differs of a file that the target has an older state of; false when it has none. */
  async difference(step: EntryStep, file: Content, before: Stat, old: CatalogRecord | undefined): Promise<boolean> {
    // The same file under the same name: another one may share its name on the target with others.
    const isKnown = old?.kind === 'entry' && old.signature.startsWith(before.identity);
    // What the target had before the move may be an older state of it.
    const isOlder = old === undefined && this.#parts.adopted !== undefined && before.nlink === 1;
    if (!isKnown && !isOlder) return false;
    await this.#parts.flush();
    if ((await this.#parts.sums(this.#parts.mapping(), step.path, [])) === undefined) return false;
    const operations = this.#parts.begin(step.path);
    operations.u8(OP.change);
    operations.text(step.name);
    operations.long(before.size);
    const pages = this.#dirtyPages(step, file, before, old);
    if (pages !== undefined) {
      for (const ranges of parted(dirtyRanges(pages, before.size, pageSize())))
        if (!(await this.#changedRanges(step, file, ranges))) return false;
      return true;
    }
    // Holes are not read, only made: a terabyte of them is one operation.
    for (let at = 0; at < before.size; ) {
      const data = wideData(file, at, before.size);
      const start = data?.start ?? before.size;
      if (start > at) this.#packHole(step, at, start);
      if (data === undefined) break;
      for (const ranges of parted([{ start, end: data.end }]))
        if (!(await this.#changedRanges(step, file, ranges))) return false;
      at = data.end;
    }
    return true;
  }

  /** The pages in which alone the file may be another than the target has; undefined when that is not known. */
  #dirtyPages(
    step: EntryStep,
    file: Content,
    before: Stat,
    old: CatalogRecord | undefined,
  ): ReadonlySet<number> | undefined {
    const changes = this.#parts.captured?.changes;
    if (changes === undefined || old === undefined || before.size < sizeIn(old.signature)) return undefined;
    // A name that was made anew may be that of another file, with the number that the old one had.
    if (changes.names.get(statFd(step.dirFd).identity)?.has(step.name)) return undefined;
    return changes.pagesOf(before.identity, fileSystemType(typeof file === 'number' ? file : step.dirFd));
  }

  async #changedRanges(step: EntryStep, file: Content, ranges: readonly Range[]): Promise<boolean> {
    await this.#parts.flush();
    // Both sides read at the same time.
    const asked = this.#parts.sums(this.#parts.mapping(), step.path, ranges);
    const [theirs, ours] = await Promise.all([asked, turn().then(() => sumsOf(file, ranges))]);
    if (theirs === undefined) return false;
    for (const range of differing(ours, theirs, ranges, PIECE)) {
      const isHole = nextDataOf(file, range.start, range.end) === undefined;
      if (isHole && range.end - range.start >= SUM_BLOCK) this.#packHole(step, range.start, range.end);
      else this.#pack(step, file, range.start, range.end - range.start);
      if (this.#parts.outbox.isFull) await this.#parts.flush();
    }
    return true;
  }

  #packHole(step: EntryStep, start: number, end: number): void {
    const operations = this.#parts.begin(step.path);
    operations.u8(OP.hole);
    operations.text(step.name);
    operations.long(start);
    operations.long(end - start);
  }

  #pack(step: EntryStep, file: Content, start: number, length: number): void {
    const operations = this.#parts.begin(step.path);
    operations.u8(OP.data);
    operations.text(step.name);
    operations.long(start);
    operations.u32(length);
    const at = operations.room(length);
    const read = readFully(file, operations.memory, at, length, start);
    // Cut off while it was read: the rest is zeros, and it will come again.
    if (read < length) operations.memory.fill(0, at + read, at + length);
    this.#parts.counts.sentBytes += length;
  }
}

/** The next data with what follows it after small holes: to ask for each of them alone would cost more than to read them. */
function wideData(file: Content, from: number, size: number): Extent | undefined {
  const first = nextDataOf(file, from, size);
  if (first === undefined) return undefined;
  let { end } = first;
  for (;;) {
    const next = nextDataOf(file, end, size);
    if (next === undefined || next.start - end > SMALL_HOLE) return { start: first.start, end };
    end = next.end;
  }
}
