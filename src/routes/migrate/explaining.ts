import {
  eachChange,
  keyOfText,
  kindOf,
  nameOfKey,
  secondsOf,
  TrackedCollections,
} from '../../adapters/mongodb/index.ts';
import { GodwitError } from '../../kernel/errors.ts';
import type { Drift, LogBlock } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import type { Evidence } from './api.ts';
import type { Link } from './link.ts';
import { type DetectionRecord, KEY, type RunContext } from './run-context.ts';

/** Differences of each verdict whose reasoning is kept. */
export const SAMPLED = 20;

/** Time of a log position, ISO 8601. */
export function timeOf(position: Position): string {
  return new Date(secondsOf(position) * 1000).toISOString();
}

/**
 * The reasoning for differences that a proof found: everything up to the
 * moment compared is applied, so nothing on its way can explain them. The last
 * change of each in the kept log says what should have made it right.
 */
export async function explainWrong(run: RunContext, link: Link, drift: readonly Drift[]): Promise<void> {
  const sample = drift.filter((row) => row.kind !== 'structure').slice(0, SAMPLED);
  if (sample.length === 0) return;
  const from = link.keptLogFrom;
  const appliedTo = link.appliedTo;
  const byUnit = new Map<string, string>(
    link.collections().map(({ uuid, source }) => [`${source.db}.${source.name}`, uuid] as const),
  );
  const nameOf = (row: Drift) => {
    const key = keyOfText(row.key);
    return nameOfKey(byUnit.get(row.unit) ?? '', key[4] as number, { buf: key, start: 9, end: key.length - 1 });
  };
  const names = new Set(sample.map(nameOf));
  const last = new Map<string, { position: Position; kind: string }>();
  const tracked = TrackedCollections.of(link.collections());
  await readLog(link, from, appliedTo, run.signal, (block) =>
    eachChange(block, { after: from, upTo: appliedTo }, tracked, (change) => {
      const name = nameOfKey(change.collection.uuid, change.idType, change.id);
      if (names.has(name)) last.set(name, { position: change.position, kind: kindOf(change) });
    }),
  );
  const evidence = sample.map((row) => {
    const entry = last.get(nameOf(row));
    const seen = entry
      ? `its last change in the kept log, of ${timeOf(entry.position)}, is applied`
      : `the log kept since ${timeOf(from)} has no change of it`;
    return {
      unit: row.unit,
      kind: row.kind,
      key: row.key,
      ...(row.sourceDigest === undefined ? {} : { sourceDigest: row.sourceDigest }),
      ...(row.targetDigest === undefined ? {} : { targetDigest: row.targetDigest }),
      verdict: 'wrong',
      reason: `both sides were read at one moment, with everything applied up to it; ${seen}`,
      ...(entry
        ? { entry: { at: timeOf(entry.position), position: entry.position, kind: entry.kind, applied: true } }
        : {}),
    } satisfies Evidence;
  });
  run.store.set(KEY.detection, {
    at: new Date(run.clock.now()).toISOString(),
    docs: run.meter.verifyDocs,
    appliedTo,
    spooledTo: link.spooledTo,
    late: 0,
    wrong: drift.length,
    truncated: false,
    sample: evidence,
  } satisfies DetectionRecord);
}

/** What is not kept any more is no evidence, and no failure. */
async function readLog(
  link: Link,
  from: Position,
  upTo: Position,
  signal: AbortSignal,
  visit: (block: LogBlock) => void,
): Promise<void> {
  try {
    await link.eachSpooled(from, upTo, signal, visit);
  } catch (error) {
    if (!(error instanceof GodwitError && error.code === 'GW4002')) throw error;
  }
}
