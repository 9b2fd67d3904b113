import type { ChunkProgress } from '../../../kernel/ports.ts';
import { compareValues } from '../bson/compare.ts';
import { elementEnd, findElement, valueOffset } from '../bson/walk.ts';
import type { DocStream } from './doc-stream.ts';

/**
 * Told, document by document, how two streams differ. The document concerned
 * is the present one of its stream, and may be read only before the answer.
 */
export interface Differences {
  /** Only the source has it. */
  missing(source: DocStream): Promise<void> | void;
  /** Only the target has it. */
  extra(target: DocStream): Promise<void> | void;
  /** Both have it, with other bytes. */
  different(source: DocStream, target: DocStream): Promise<void> | void;
}

/**
 * Merges two streams in `_id` order and compares them byte for byte. Whole
 * batches that are equal, the common case, are compared in one go.
 *
 * @param ordered false when `_id`s are ordered by a collation we cannot repeat:
 *   what has no partner at the same place is then told as missing and extra,
 *   and its partner may follow
 * @param passed told how many documents of the source, and bytes of them, were passed
 */
export async function mergeStreams(
  source: DocStream,
  target: DocStream,
  ordered: boolean,
  found: Differences,
  passed: ChunkProgress,
): Promise<void> {
  let more = await source.next();
  let moreTarget = await target.next();
  while (more && moreTarget) {
    if (sameRest(source, target)) {
      passed(source.left, source.buf.length - source.start);
      more = await source.skipBatch();
      moreTarget = await target.skipBatch();
      continue;
    }
    passEqual(source, target, passed);
    const order = sameDocument(source, target) ? 0 : compareIds(source, target);
    if (order === 0) {
      passed(1, source.end - source.start);
      if (!sameDocument(source, target)) await found.different(source, target);
      more = await source.next();
      moreTarget = await target.next();
    } else if (!ordered) {
      await found.missing(source);
      await found.extra(target);
      passed(1, source.end - source.start);
      more = await source.next();
      moreTarget = await target.next();
    } else if (order < 0) {
      passed(1, source.end - source.start);
      await found.missing(source);
      more = await source.next();
    } else {
      await found.extra(target);
      moreTarget = await target.next();
    }
  }
  for (; more; more = await source.next()) {
    passed(1, source.end - source.start);
    await found.missing(source);
  }
  for (; moreTarget; moreTarget = await target.next()) await found.extra(target);
}

function sameRest(source: DocStream, target: DocStream): boolean {
  return (
    source.buf.length - source.start === target.buf.length - target.start &&
    source.left === target.left &&
    source.buf.compare(target.buf, target.start, target.buf.length, source.start, source.buf.length) === 0
  );
}

/** Compared in one go where two batches hold the same but are cut differently: few calls, little lost at a difference. */
const WINDOW_BYTES = 64 * 1024;

/** Passes over equal documents without waiting, as long as both batches have another one behind them. */
function passEqual(source: DocStream, target: DocStream, passed: ChunkProgress): void {
  let docs = 0;
  const from = source.start;
  while (source.left > 1 && target.left > 1) {
    // Both begin with a document: as far as the bytes are the same, so are the documents.
    const same = sameWindow(source, target)
      ? source.start + WINDOW_BYTES
      : sameDocument(source, target)
        ? source.end
        : 0;
    if (same === 0) break;
    while (source.end <= same && source.left > 1 && target.left > 1) {
      source.step();
      target.step();
      docs += 1;
    }
  }
  if (docs > 0) passed(docs, source.start - from);
}

function sameWindow(a: DocStream, b: DocStream): boolean {
  const [endA, endB] = [a.start + WINDOW_BYTES, b.start + WINDOW_BYTES];
  if (a.end > endA || endA > a.buf.length || endB > b.buf.length) return false;
  return a.buf.compare(b.buf, b.start, endB, a.start, endA) === 0;
}

function sameDocument(a: DocStream, b: DocStream): boolean {
  return a.end - a.start === b.end - b.start && a.buf.compare(b.buf, b.start, b.end, a.start, a.end) === 0;
}

function compareIds(a: DocStream, b: DocStream): number {
  const atA = findElement(a.buf, a.start, '_id');
  const atB = findElement(b.buf, b.start, '_id');
  if (atA < 0 || atB < 0) return atA - atB;
  return compareValues(
    a.buf[atA] as number,
    a.buf,
    valueOffset(a.buf, atA),
    elementEnd(a.buf, atA),
    b.buf[atB] as number,
    b.buf,
    valueOffset(b.buf, atB),
    elementEnd(b.buf, atB),
  );
}

const TOLD_EVERY = 20_000;

/** Passes progress on in portions, so that telling costs nothing; `rest` tells what is left. */
export function inPortions(progress: ChunkProgress): { readonly passed: ChunkProgress; readonly rest: () => void } {
  let docs = 0;
  let bytes = 0;
  const rest = () => {
    progress(docs, bytes);
    docs = 0;
    bytes = 0;
  };
  const passed: ChunkProgress = (moreDocs, moreBytes) => {
    docs += moreDocs;
    bytes += moreBytes;
    if (docs >= TOLD_EVERY) rest();
  };
  return { passed, rest };
}
