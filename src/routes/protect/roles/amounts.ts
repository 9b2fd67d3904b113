import type { Amount, RecoveryPoint, RoleName } from '../api.ts';
import type { OpRecord } from '../engine/record.ts';
import { hasPayload } from '../engine/record.ts';

export const NONE: Amount = { operations: 0, bytes: 0, seconds: 0 };

interface Entry {
  readonly record: OpRecord;
}

/** Adds up operations, of which the first is the oldest. */
export function amountOf(records: Iterable<OpRecord>, now: number): Amount {
  let [operations, bytes, oldest] = [0, 0, now];
  for (const record of records) {
    if (operations === 0) oldest = record.time / 1000;
    operations += 1;
    if (hasPayload(record.kind)) bytes += record.length;
  }
  return { operations, bytes, seconds: operations === 0 ? 0 : Math.max(0, (now - oldest) / 1000) };
}

/**
 * Where the volume would go on with nothing but what is there: at the longest beginning of the order without a gap.
 * What comes after it counts as missing if it was promised, whether its data is there or not.
 */
export function recoveryPoint<E extends Entry>(options: {
  readonly lost: readonly RoleName[];
  readonly base: number;
  readonly entries: readonly E[];
  readonly isThere: (entry: E) => boolean;
  /** Promised up to here. */
  readonly settled: number;
  readonly now: number;
}): RecoveryPoint {
  const { lost, base, entries, isThere, settled, now } = options;
  const gap = entries.findIndex((entry) => !isThere(entry));
  const count = gap < 0 ? entries.length : gap;
  const last = entries[count - 1]?.record;
  const missing: OpRecord[] = [];
  for (let i = count; i < entries.length; i += 1) {
    const { record } = entries[i] as E;
    if (record.sequence <= settled) missing.push(record);
  }
  return {
    lost,
    sequence: last?.sequence ?? base,
    at: last === undefined ? null : new Date(last.time / 1000).toISOString(),
    missing: amountOf(missing, now),
  };
}
