import type { ChunkProgress } from '../../../kernel/ports.ts';
import { readableId } from '../write.ts';
import { type StreamVerdict, digestOf } from './compare-streams.ts';
import type { DocStream } from './doc-stream.ts';

/**
 * Compares two collections whose order is their meaning. Both streams stand on
 * their first document already. Keeps one digest a document.
 *
 * While the source is written, the target is a window of the same sequence, a
 * little behind: the stretch that both hold must be equal, document for
 * document. At standstill the whole must be.
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
  const place = still ? firstDifference(left, right) : windowDifference(left, right);
  if (place === undefined) return verdict;
  const a = left[place.left];
  const b = right[place.right];
  verdict.drift.push({
    unit,
    kind: a === undefined ? 'extra' : b === undefined ? 'missing' : 'different',
    key: (a ?? b)?.key ?? '',
    ...(a ? { sourceDigest: a.digest } : {}),
    ...(b ? { targetDigest: b.digest } : {}),
    note: `order: document ${place.left} of ${left.length} at the source, ${place.right} of ${right.length} at the target`,
  });
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
    marks.push({ key: readableId(doc), digest: digestOf(doc) });
    seen(doc.length);
  }
  return marks;
}

interface Place {
  readonly left: number;
  readonly right: number;
}

function firstDifference(left: readonly Mark[], right: readonly Mark[]): Place | undefined {
  const length = Math.max(left.length, right.length);
  for (let i = 0; i < length; i += 1) {
    if (left[i]?.digest !== right[i]?.digest || left[i]?.key !== right[i]?.key) return { left: i, right: i };
  }
  return undefined;
}

function windowDifference(left: readonly Mark[], right: readonly Mark[]): Place | undefined {
  const first = left[0];
  if (!first || right.length === 0) return undefined;
  // Where the source's oldest document stands in the target; or the target's oldest in the source.
  let shiftRight = right.findIndex((mark) => mark.key === first.key);
  let shiftLeft = 0;
  if (shiftRight < 0) {
    shiftLeft = left.findIndex((mark) => mark.key === right[0]?.key);
    shiftRight = 0;
    // No common stretch: everything rolled over between the two reads.
    if (shiftLeft < 0) return undefined;
  }
  const overlap = Math.min(left.length - shiftLeft, right.length - shiftRight);
  for (let i = 0; i < overlap; i += 1) {
    const a = left[shiftLeft + i] as Mark;
    const b = right[shiftRight + i] as Mark;
    if (a.key !== b.key) return { left: shiftLeft + i, right: shiftRight + i };
  }
  return undefined;
}
