import { type Judged, PendingChanges, SyncDetector, TrackedCollections } from '../../adapters/mongodb/index.ts';
import { inLanes } from '../../kernel/lanes.ts';
import type { Drift } from '../../kernel/ports.ts';
import type { Position } from '../../kernel/position.ts';
import { withRetry } from '../../kernel/retry.ts';
import type { Evidence } from './api.ts';
import { SAMPLED, timeOf } from './explaining.ts';
import type { Link } from './link.ts';
import { planVerify } from './proving.ts';
import { type DetectionRecord, KEY, type RunContext } from './run-context.ts';
import type { Sides } from './sides.ts';

const LANES = 2;

/**
 * Compares both sides as they are now, without waiting for the log, and sorts
 * what differs into late and wrong. It proves nothing: what is late now is
 * compared by the next proof.
 */
export async function detect(
  run: RunContext,
  link: Link,
  sides: Sides,
): Promise<{ record: DetectionRecord; wrong: Drift[] }> {
  const appliedTo = link.appliedTo;
  using _kept = link.keepLogFrom(appliedTo);
  const log = new PendingLog(link, appliedTo);
  const chunks = await withRetry(run.retry(), () => planVerify(run, link, sides, undefined));
  const detector = new SyncDetector({
    source: sides.from,
    target: sides.to,
    readFrom: link.generation.direction === 'forward' ? run.readFrom : 'primary',
    collection: (uuid) => link.collection(uuid),
    moment: () => link.latestMoment,
    aheadTo: (collection) => link.aheadTo(collection),
    isHeld: () => run.store.flag('paused') !== undefined,
    clock: run.clock,
    pending: (signal) => log.complete(signal),
  });
  let [docs, late, truncated] = [0, 0, false];
  const wrong: Judged[] = [];
  const lateSample: Judged[] = [];
  try {
    await inLanes(chunks, LANES, run.signal, async (chunk, signal) => {
      const found = await withRetry(run.retry(signal), () => detector.detect(chunk, () => undefined, signal));
      docs += found.docs;
      truncated ||= found.truncated;
      for (const row of found.judged) {
        if (row.verdict === 'wrong') wrong.push(row);
        else if (late++ < SAMPLED) lateSample.push(row);
      }
    });
  } finally {
    detector.close();
  }
  const record: DetectionRecord = {
    at: new Date(run.clock.now()).toISOString(),
    docs,
    appliedTo,
    spooledTo: link.spooledTo,
    late,
    wrong: wrong.length,
    truncated,
    sample: [...wrong.slice(0, SAMPLED), ...lateSample].map(evidenceOf),
  };
  run.store.commit(() => {
    run.store.set(KEY.detection, record);
    run.store.event('detected', { docs, late, wrong: wrong.length, appliedTo, spooledTo: record.spooledTo });
  });
  return { record, wrong };
}

/** What is not applied yet, read once, and further whenever more is needed. */
class PendingLog {
  readonly #link: Link;
  readonly #changes = new PendingChanges();
  #readTo: Position;
  #reading: Promise<unknown> = Promise.resolve();

  constructor(link: Link, from: Position) {
    this.#link = link;
    this.#readTo = from;
  }

  /** Everything up to a position after all that was written at the source so far. */
  async complete(signal: AbortSignal): Promise<PendingChanges> {
    const mark = await this.#link.mark(signal);
    await this.#link.waitSpooled(mark, signal);
    const turn = this.#reading.then(() => this.#readUpTo(mark, signal));
    this.#reading = turn.catch(() => undefined);
    await turn;
    return this.#changes;
  }

  async #readUpTo(mark: Position, signal: AbortSignal): Promise<void> {
    if (mark <= this.#readTo) return;
    const tracked = TrackedCollections.of(this.#link.collections());
    const range = { after: this.#readTo, upTo: mark };
    await this.#link.eachSpooled(range.after, range.upTo, signal, (block) => this.#changes.add(block, range, tracked));
    this.#readTo = mark;
  }
}

function evidenceOf(row: Judged): Evidence {
  const { entry, before, ...rest } = row;
  return {
    ...rest,
    ...(before === undefined ? {} : { beforeDigest: before }),
    ...(entry
      ? { entry: { at: timeOf(entry.position), position: entry.position, kind: entry.kind, applied: false } }
      : {}),
  };
}
