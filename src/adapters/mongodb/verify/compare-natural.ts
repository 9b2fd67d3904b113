import type { ChunkProgress, Drift } from '../../../kernel/ports.ts';
import { fullId } from '../write.ts';
import type { StreamVerdict } from './compare-streams.ts';
import { digestOf } from './digest.ts';
import type { DocStream } from './doc-stream.ts';

/**
 * Compares two collections whose order is their meaning. Both streams stand on
 * their first document already. Keeps one digest a document.
 *
 * At standstill the whole must be equal. While the source is written, the two
 * are read a moment apart: every difference is told, and only those that are
 * still there after the log was applied further count (see the verifier).
 */
export async function compareNatural(
  unit: string,
  source: DocStream,
  target: DocStream,
  still: boolean,
  progress: ChunkProgress,
): Promise<StreamVerdict> {
  const verdict: StreamVerdict = { docs: 0, bytes: 0, drift: [], truncated: false };
  const left = await digests(source, (bytes) => {
    verdict.docs += 1;
    verdict.bytes += bytes;
  });
  const right = await digests(target, () => undefined);
  progress(verdict.docs, verdict.bytes);
  if (still) verdict.drift.push(...firstDifference(unit, left, right));
  else verdict.drift.push(...setDifference(unit, left, right), ...orderDifference(unit, left, right));
  return verdict;
}

interface Mark {
  readonly key: string;
  readonly digest: string;
}

async function digests(stream: DocStream, seen: (bytes: number) => void): Promise<Mark[]> {
  const marks: Mark[] = [];
  for (let more = stream.left > 0; more; more = await stream.next()) {
    const doc = stream.buf.subarray(stream.start, stream.end);
    marks.push({ key: fullId(doc), digest: digestOf(doc) });
    seen(doc.length);
  }
  return marks;
}

function row(unit: string, a: Mark | undefined, b: Mark | undefined, note?: string): Drift {
  return {
    unit,
    kind: a === undefined ? 'extra' : b === undefined ? 'missing' : 'different',
    key: (a ?? b)?.key ?? '',
    ...(a ? { sourceDigest: a.digest } : {}),
    ...(b ? { targetDigest: b.digest } : {}),
    ...(note === undefined ? {} : { note }),
  };
}

function firstDifference(unit: string, left: readonly Mark[], right: readonly Mark[]): Drift[] {
  const length = Math.max(left.length, right.length);
  for (let i = 0; i < length; i += 1) {
    if (left[i]?.digest === right[i]?.digest && left[i]?.key === right[i]?.key) continue;
    return [
      row(
        unit,
        left[i],
        right[i],
        `order: document ${i} of ${left.length} at the source, of ${right.length} at the target`,
      ),
    ];
  }
  return [];
}

function setDifference(unit: string, left: readonly Mark[], right: readonly Mark[]): Drift[] {
  const others = new Map(right.map((mark) => [mark.key, mark]));
  const drift: Drift[] = [];
  for (const mark of left) {
    const other = others.get(mark.key);
    others.delete(mark.key);
    if (other?.digest !== mark.digest) drift.push(row(unit, mark, other));
  }
  for (const mark of others.values()) drift.push(row(unit, undefined, mark));
  return drift;
}

/** What both hold must come in the same order: a document never moves. */
function orderDifference(unit: string, left: readonly Mark[], right: readonly Mark[]): Drift[] {
  const inRight = new Set(right.map((mark) => mark.key));
  const inLeft = new Set(left.map((mark) => mark.key));
  const a = left.filter((mark) => inRight.has(mark.key));
  const b = right.filter((mark) => inLeft.has(mark.key));
  const at = a.findIndex((mark, i) => mark.key !== b[i]?.key);
  const mark = a[at];
  return mark === undefined ? [] : [{ unit, kind: 'different', key: mark.key, note: 'the order of documents differs' }];
}
