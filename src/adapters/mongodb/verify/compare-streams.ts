import type { ChunkProgress, Drift } from '../../../kernel/ports.ts';
import { fullId } from '../write.ts';
import { Aside, type AsideRow } from './aside.ts';
import { digestOf } from './digest.ts';
import type { DocStream } from './doc-stream.ts';
import { type Differences, inPortions, mergeStreams } from './merge-streams.ts';

export interface StreamVerdict {
  docs: number;
  bytes: number;
  readonly drift: Drift[];
  /** More differs than is listed. */
  truncated: boolean;
}

/** Differences listed of one chunk; a repair runs again until none is left. */
const MOST_DRIFT = 5_000;

/**
 * Merges two streams in `_id` order and lists what differs.
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
  const aside = ordered ? undefined : new Aside();
  const keep = (row: AsideRow | undefined) => row && note(verdict, { ...row, unit, key: fullId(row.key) });
  const tell = inPortions(progress);
  const passed = (docs: number, bytes: number) => {
    verdict.docs += docs;
    verdict.bytes += bytes;
    tell.passed(docs, bytes);
  };
  const listing: Differences = {
    missing: (stream) =>
      aside ? keep(aside.add(stream, 'missing')) : note(verdict, oneSided(unit, 'missing', stream)),
    extra: (stream) => (aside ? keep(aside.add(stream, 'extra')) : note(verdict, oneSided(unit, 'extra', stream))),
    different: (a, b) => note(verdict, different(unit, a, b)),
  };
  await mergeStreams(source, target, ordered, listing, passed);
  for (const row of aside?.rest() ?? []) keep(row);
  tell.rest();
  return verdict;
}

function note(verdict: StreamVerdict, drift: Drift): void {
  if (verdict.drift.length < MOST_DRIFT) verdict.drift.push(drift);
  else verdict.truncated = true;
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
