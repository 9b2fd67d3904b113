import { createHistogram, type RecordableHistogram } from 'node:perf_hooks';
import { familyText, sampleLine } from '../../../kernel/prometheus.ts';

type Labels = Readonly<Record<string, string>>;

/** Names, kinds and meanings, as Prometheus shows them. */
const FAMILIES = {
  godwit_write_seconds: ['summary', 'Time from the start to the end of a write, by the model that owned the identity'],
  godwit_write_errors_total: ['counter', 'Writes that threw, by error code'],
  godwit_adopted_total: ['counter', 'Identities that a write of this process moved to the new model'],
  godwit_reads_total: ['counter', 'Reads, by where the answer came from: old, pending (derived from new), new'],
  godwit_shadow_total: ['counter', 'Reads compared in the shadow, by outcome'],
  godwit_relay_applied_total: ['counter', 'Identities that this process carried to the old table'],
  godwit_relay_quarantined_total: ['counter', 'Identities that could not be carried'],
  godwit_relay_lag_seconds: ['gauge', 'Age of the oldest change in the last pass of the relay'],
  godwit_relay_failures: ['gauge', 'Failures of a task of the relay since its last success'],
  godwit_control_epoch: ['gauge', 'Epoch that this process goes by'],
  godwit_control_age_seconds: ['gauge', 'Age of the copy of the control record'],
  godwit_ramp_ratio: ['gauge', 'Share of identities that may be adopted by their own writes'],
  godwit_reads_ratio: ['gauge', 'Share of identities that are read from the new model'],
} as const satisfies Record<string, readonly ['summary' | 'counter' | 'gauge', string]>;

type Family = keyof typeof FAMILIES;

/** A number measured elsewhere, read when the text is made. */
export interface Gauge {
  readonly family: Family;
  readonly labels: Labels;
  readonly value: number;
}

/** Median and 99th percentile in milliseconds, and how many. */
export interface Latency {
  readonly count: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

/** Counts and times of one process since it started. */
export class Metrics {
  readonly #counters = new Map<string, { family: Family; labels: Labels; value: number }>();
  readonly #times = new Map<
    string,
    { family: Family; labels: Labels; histogram: RecordableHistogram; sumMs: number }
  >();

  count(family: Family, labels: Labels, by = 1): void {
    const key = keyOf(family, labels);
    const counter = this.#counters.get(key);
    if (counter === undefined) this.#counters.set(key, { family, labels, value: by });
    else counter.value += by;
  }

  time(family: Family, labels: Labels, ms: number): void {
    const key = keyOf(family, labels);
    let series = this.#times.get(key);
    if (series === undefined) {
      series = { family, labels, histogram: createHistogram({ highest: 600_000_000, figures: 3 }), sumMs: 0 };
      this.#times.set(key, series);
    }
    series.histogram.record(Math.max(1, Math.min(600_000_000, Math.round(ms * 1000))));
    series.sumMs += ms;
  }

  latency(family: Family, labels: Labels): Latency {
    const histogram = this.#times.get(keyOf(family, labels))?.histogram;
    if (histogram === undefined) return { count: 0, p50Ms: 0, p99Ms: 0 };
    return { count: histogram.count, p50Ms: histogram.percentile(50) / 1000, p99Ms: histogram.percentile(99) / 1000 };
  }

  counted(family: Family, labels: Labels): number {
    return this.#counters.get(keyOf(family, labels))?.value ?? 0;
  }

  /** The text format of Prometheus 0.0.4. */
  text(gauges: readonly Gauge[]): string {
    const lines = new Map<Family, string[]>();
    const add = (family: Family, name: string, labels: Labels, value: number) => {
      const list = lines.get(family) ?? [];
      lines.set(family, list);
      list.push(sampleLine(name, labels, value));
    };
    for (const { family, labels, value } of [...this.#counters.values(), ...gauges]) add(family, family, labels, value);
    for (const { family, labels, histogram, sumMs } of this.#times.values()) {
      for (const quantile of [0.5, 0.99])
        add(family, family, { ...labels, quantile: String(quantile) }, histogram.percentile(quantile * 100) / 1e6);
      add(family, `${family}_sum`, labels, sumMs / 1000);
      add(family, `${family}_count`, labels, histogram.count);
    }
    return [...lines]
      .map(([family, list]) => {
        const [kind, help] = FAMILIES[family];
        return familyText(family, kind, help, list);
      })
      .join('');
  }
}

function keyOf(family: Family, labels: Labels): string {
  let key: string = family;
  for (const name in labels) key += `\n${name}\n${labels[name]}`;
  return key;
}
