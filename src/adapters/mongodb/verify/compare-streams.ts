import xxhash from '@node-rs/xxhash';
import type { ChunkProgress, Drift } from '../../../kernel/ports.ts';
import { compareValues } from '../bson/compare.ts';
import { elementEnd, findElement, valueOffset } from '../bson/walk.ts';
import { fullId } from '../write.ts';
import type { DocStream } from './doc-stream.ts';

export interface StreamVerdict {
  docs: number;
  bytes: number;
  readonly drift: Drift[];
  /** More differs than is listed. */
  truncated: boolean;
}

/** Differences listed of one chunk; a repair runs again until none is left. */
const MOST_DRIFT = 5_000;
const PROGRESS_EVERY = 20_000;

/**
 * Merges two streams in `_id` order and compares them byte for byte. Whole
 * batches that are equal, the common case, are compared in one go.
 *
 * @param ordered false when `_id`s are ordered by a collation we cannot repeat:
 *   what has no partner is then kept aside until it turns up on the other side.
 */
export async function compareStreams(
  unit: string,
  source: DocStream,
  target: DocStream,
  ordered: boolean,
  progress: ChunkProgress,
): Promise<StreamVerdict> {
  const verdict: StreamVerdict = { docs: 0, bytes: 0, drift: [], truncated: false };
  const aside = ordered ? undefined : new Aside(unit, verdict);
  let told = 0;
  let toldBytes = 0;
  const seen = (docs: number, bytes: number) => {
    verdict.docs += docs;
    verdict.bytes += bytes;
    if (verdict.docs - told < PROGRESS_EVERY) return;
    progress(verdict.docs - told, verdict.bytes - toldBytes);
    told = verdict.docs;
    toldBytes = verdict.bytes;
  };
  let more = await source.next();
  let moreTarget = await target.next();
  while (more && moreTarget) {
    const rest = source.buf.length - source.start;
    if (
      rest === target.buf.length - target.start &&
      source.left === target.left &&
      source.buf.compare(target.buf, target.start, target.buf.length, source.start, source.buf.length) === 0
    ) {
      seen(source.left, rest);
      more = await source.skipBatch();
      moreTarget = await target.skipBatch();
      continue;
    }
    const order = sameDocument(source, target) ? 0 : compareIds(source, target);
    if (order === 0) {
      seen(1, source.end - source.start);
      if (!sameDocument(source, target)) note(verdict, different(unit, source, target));
      more = await source.next();
      moreTarget = await target.next();
    } else if (aside) {
      aside.add(source, 'missing');
      aside.add(target, 'extra');
      seen(1, source.end - source.start);
      more = await source.next();
      moreTarget = await target.next();
    } else if (order < 0) {
      seen(1, source.end - source.start);
      note(verdict, oneSided(unit, 'missing', source));
      more = await source.next();
    } else {
      note(verdict, oneSided(unit, 'extra', target));
      moreTarget = await target.next();
    }
  }
  for (; more; more = await source.next()) {
    seen(1, source.end - source.start);
    if (aside) aside.add(source, 'missing');
    else note(verdict, oneSided(unit, 'missing', source));
  }
  for (; moreTarget; moreTarget = await target.next()) {
    if (aside) aside.add(target, 'extra');
    else note(verdict, oneSided(unit, 'extra', target));
  }
  aside?.finish();
  progress(verdict.docs - told, verdict.bytes - toldBytes);
  return verdict;
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

function note(verdict: StreamVerdict, drift: Drift): void {
  if (verdict.drift.length < MOST_DRIFT) verdict.drift.push(drift);
  else verdict.truncated = true;
}

/** Digest of a document's bytes (XXH3, 64 bits), hexadecimal. */
export function digestOf(doc: Buffer): string {
  return xxhash.xxh3.xxh64(doc).toString(16).padStart(16, '0');
}

function bytesOf(stream: DocStream): Buffer {
  return stream.buf.subarray(stream.start, stream.end);
}

function different(unit: string, source: DocStream, target: DocStream): Drift {
  return {
    unit,
    kind: 'different',
    key: fullId(bytesOf(source)),
    sourceDigest: digestOf(bytesOf(source)),
    targetDigest: digestOf(bytesOf(target)),
  };
}

function oneSided(unit: string, kind: 'missing' | 'extra', stream: DocStream): Drift {
  const digest = digestOf(bytesOf(stream));
  return {
    unit,
    kind,
    key: fullId(bytesOf(stream)),
    ...(kind === 'missing' ? { sourceDigest: digest } : { targetDigest: digest }),
  };
}

/** Documents of which the partner has not come by yet; only digests and keys are kept. */
class Aside {
  readonly #unit: string;
  readonly #verdict: StreamVerdict;
  readonly #waiting = new Map<string, { kind: 'missing' | 'extra'; digest: string }>();

  constructor(unit: string, verdict: StreamVerdict) {
    this.#unit = unit;
    this.#verdict = verdict;
  }

  add(stream: DocStream, kind: 'missing' | 'extra'): void {
    const key = fullId(bytesOf(stream));
    const digest = digestOf(bytesOf(stream));
    const partner = this.#waiting.get(key);
    if (!partner || partner.kind === kind) {
      this.#waiting.set(key, { kind, digest });
      return;
    }
    this.#waiting.delete(key);
    if (partner.digest === digest) return;
    const [sourceDigest, targetDigest] = kind === 'missing' ? [digest, partner.digest] : [partner.digest, digest];
    note(this.#verdict, { unit: this.#unit, kind: 'different', key, sourceDigest, targetDigest });
  }

  finish(): void {
    for (const [key, { kind, digest }] of this.#waiting) {
      const side = kind === 'missing' ? { sourceDigest: digest } : { targetDigest: digest };
      note(this.#verdict, { unit: this.#unit, kind, key, ...side });
    }
  }
}
