/** What the users noticed: latencies from the moment a request was due. */
import type { Sample } from './load/load.ts';

export interface Span {
  readonly name: string;
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Felt {
  readonly requests: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
}

export function felt(samples: readonly Sample[], { fromMs, toMs }: Span, kind: Sample['kind']): Felt {
  const took = samples
    .filter((sample) => sample.kind === kind && sample.atMs >= fromMs && sample.atMs < toMs)
    .map(({ tookMs }) => tookMs)
    .sort((a, b) => a - b);
  const at = (share: number) => took[Math.min(took.length - 1, Math.floor(took.length * share))] ?? Number.NaN;
  return { requests: took.length, p50Ms: at(0.5), p99Ms: at(0.99) };
}
