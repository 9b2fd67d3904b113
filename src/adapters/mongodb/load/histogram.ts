import type { Document } from 'bson';

/** Operations by duration: lower bound of a bucket, in microseconds, to how many fell into it. */
export type Histogram = ReadonlyMap<number, number>;

/** From `latencyStats.reads` or `.writes` of `$collStats`; buckets nobody fell into are left out there, too. */
export function parseHistogram(stats: Document | undefined): Histogram {
  const buckets = (stats?.['histogram'] ?? []) as Document[];
  return new Map(buckets.map((bucket) => [Number(bucket['micros']), Number(bucket['count'])]));
}

export function addHistograms(a: Histogram, b: Histogram): Histogram {
  const sum = new Map(a);
  for (const [micros, count] of b) sum.set(micros, (sum.get(micros) ?? 0) + count);
  return sum;
}

/** What was added since `earlier`; counts that went back (collection made again, another member) count as new. */
export function subtractHistograms(now: Histogram, earlier: Histogram): Histogram {
  const out = new Map<number, number>();
  for (const [micros, count] of now) {
    const before = earlier.get(micros) ?? 0;
    const added = before <= count ? count - before : count;
    if (added > 0) out.set(micros, added);
  }
  return out;
}

export function countOf(histogram: Histogram): number {
  let total = 0;
  for (const count of histogram.values()) total += count;
  return total;
}

/** The lower bound of the first bucket that fewer than `share` of the operations reach; 0 for an empty histogram. */
export function slowFrom(histogram: Histogram, share: number): number {
  const total = countOf(histogram);
  let above = 0;
  let bound = 0;
  for (const [micros, count] of [...histogram].sort(([a], [b]) => b - a)) {
    above += count;
    if (above > total * share) return bound === 0 ? micros * 2 : bound;
    bound = micros;
  }
  return bound;
}

/** How many operations lie in buckets from `micros` on. */
export function countFrom(histogram: Histogram, micros: number): number {
  let above = 0;
  for (const [bound, count] of histogram) if (bound >= micros) above += count;
  return above;
}
