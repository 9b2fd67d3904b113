/**
 * The proof that both models hold the same, under live writes and without a
 * lock. It shares nothing with the code that moves rows but the tables' names
 * and the text form of values.
 */
import type pg from 'pg';
import { systemClock } from '../../../kernel/clock.ts';
import { throwIfAborted } from '../../../kernel/errors.ts';
import type { CompareOptions, Mismatch, Model, Row, VerifyResult } from '../../../kernel/remodel/index.ts';
import { type Throttle, throttleOf } from '../../../kernel/throttle.ts';
import { translate } from '../errors.ts';
import { onPg } from './executor.ts';
import { connectLike, endClient, Snapshot } from './snapshot.ts';
import { withExactTypes } from './snapshot-canonical.ts';
import { keyOrder } from './snapshot-order.ts';
import { loadTables, type SqlModel } from './tables.ts';
import { withPresentOld } from './trap-names.ts';
import { type Found, mergeSources } from './verify-merge.ts';
import { type KeyRange, openSources, splitRanges } from './verify-sources.ts';
import { stateFrom } from './verify-state.ts';
import { OldRows } from './verify-suspects.ts';

/** So many differences are named. */
const MOST_EXAMPLES = 100;
/** So many are compared between two looks at the clock. */
const IDENTITIES_AT_ONCE = 200;
/** Ranges of a large table that are read at the same time. */
const RANGES_AT_ONCE = 2;

/**
 * Compares old rows with the new model in one snapshot. Left out, and counted
 * as pending, is what that very snapshot has in the outbox, among writes past the library
 * that wait to be merged, or in quarantine.
 * An identity that the old model owns is `missing`. An inverse that throws
 * makes the identity `different`, with no column named.
 *
 * Memory does not depend on the size of the tables.
 * @throws GodwitError GW8001 when the signal is set.
 */
export async function verify(pool: pg.Pool, model: Model, options: CompareOptions): Promise<VerifyResult> {
  const began = performance.now();
  const snapshot = await Snapshot.open(pool, options.signal);
  let judge: pg.Client | undefined;
  try {
    const exec = onPg(snapshot.holder);
    const loaded = await loadTables(exec, await withPresentOld(exec, model));
    const tables = { ...loaded, old: await withExactTypes(exec, loaded.old) };
    judge = await connectLike(pool);
    const sum = new Sum();
    const throttle = throttleOf(options.maxRate, systemClock);
    for (const ranges of inGroups(await splitRanges(snapshot.holder, tables, 64), RANGES_AT_ONCE))
      await Promise.all(
        ranges.map((range) =>
          verifyRange({ snapshot, judge: judge as pg.Client, tables, throttle, options, sum }, range),
        ),
      );
    return { ...sum.result(), snapshot: snapshot.name, durationMs: Math.round(performance.now() - began) };
  } catch (error) {
    throwIfAborted(options.signal);
    throw translate(error, `Comparing the models of ${model.name}`);
  } finally {
    await snapshot.close();
    if (judge) await endClient(judge);
  }
}

interface Comparison {
  readonly snapshot: Snapshot;
  /** A connection outside of the snapshot. */
  readonly judge: pg.Client;
  readonly tables: SqlModel;
  /** Of identities. */
  readonly throttle: Throttle;
  readonly options: CompareOptions;
  readonly sum: Sum;
}

async function verifyRange(comparison: Comparison, range: KeyRange): Promise<void> {
  const { snapshot, judge, tables, throttle, sum } = comparison;
  const { byValue, signal } = comparison.options;
  const sources = await openSources(snapshot, tables, range, byValue, signal);
  const rows = new OldRows(tables.old, judge, (mismatch) => sum.add(mismatch));
  const each = (found: Found): void => {
    const { identity, old, all } = found;
    sum.identities += 1;
    if (found.isPending) {
      sum.pending += 1;
      return;
    }
    const kind = misplaced(found);
    if (kind !== undefined) sum.add({ identity, kind, columns: [] });
    else if (byValue && old !== undefined) {
      const made = inverse(tables, all);
      if (made === undefined) sum.add({ identity, kind: 'different', columns: [] });
      else rows.compare(identity, old, made);
    }
  };
  let untold = 0;
  const rest = (): Promise<void> | undefined => {
    untold += 1;
    if (rows.isFull) return rows.settle();
    if (untold < IDENTITIES_AT_ONCE) return undefined;
    const taken = throttle.take(untold, signal);
    untold = 0;
    return taken;
  };
  await mergeSources(sources, keyOrder(tables.old.key.type), each, rest);
  await rows.settle();
}

/** What is wrong with where an identity is; undefined when it is where it should be. */
function misplaced({ old, all, isDeleted }: Found): Mismatch['kind'] | undefined {
  const isInNew = all.some((rows) => rows.length > 0);
  const hasRoot = all[0]?.length !== 0;
  if (isDeleted) return old !== undefined ? 'resurrected' : isInNew ? 'extra' : undefined;
  if (old === undefined) return isInNew ? 'extra' : undefined;
  return hasRoot ? undefined : 'missing';
}

function inverse(tables: SqlModel, all: Found['all']): Row | undefined {
  try {
    return tables.model.down(stateFrom(tables, all));
  } catch {
    return undefined;
  }
}

class Sum {
  identities = 0;
  pending = 0;
  readonly #counts = { missing: 0, extra: 0, resurrected: 0, different: 0 };
  readonly #examples: Mismatch[] = [];

  add(mismatch: Mismatch): void {
    this.#counts[mismatch.kind] += 1;
    if (this.#examples.length < MOST_EXAMPLES) this.#examples.push(mismatch);
  }

  result(): Omit<VerifyResult, 'snapshot' | 'durationMs'> {
    const { missing, extra, resurrected, different } = this.#counts;
    const { identities, pending } = this;
    return { identities, pending, missing, extra: extra + resurrected, different, examples: this.#examples };
  }
}

function inGroups<T>(list: readonly T[], size: number): readonly (readonly T[])[] {
  return Array.from({ length: Math.ceil(list.length / size) }, (_, i) => list.slice(i * size, (i + 1) * size));
}
