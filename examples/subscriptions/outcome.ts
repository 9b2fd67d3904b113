/** What came of it: the proof and the figures for people, the object for programs. */
import { count, ms, type Story } from '../shop/print.ts';
import { felt, type Span } from './figures.ts';
import type { Told } from './life.ts';
import type { Differences } from './load/history.ts';
import type { Load } from './load/load.ts';

/** The last line of `--json`; nulls where the demo did not come so far. */
export interface Outcome {
  readonly outcome: string;
  readonly failedRequests: number | null;
  readonly missing: number | null;
  readonly extra: number | null;
  readonly mismatched: number | null;
  readonly staleReads: number | null;
  readonly durationSeconds: number;
  readonly [figure: string]: unknown;
}

export interface Facts {
  readonly story: Story;
  readonly found: Differences;
  readonly load: Load;
  readonly spans: readonly Span[];
  readonly told: Told;
  /** Lines of the journal, which the service writes in the transaction of each change. */
  readonly journal: number;
  readonly living: number;
  readonly seconds: number;
}

export function conclude({ story, found, load, spans, told, journal, living, seconds }: Facts): Outcome {
  const { tally } = load;
  const say = (holds: boolean, text: string) => (holds ? story.good(text) : story.bad(text));
  const mismatched = found.mismatched + tally.wrong;
  say(tally.failed === 0, `failed requests: ${tally.failed} of ${count(tally.reads + tally.writes)}`);
  say(tally.stale === 0, `stale reads: ${tally.stale} of ${count(tally.reads)}`);
  say(
    found.missing + found.extra + mismatched === 0,
    `${count(living)} customers at the end: missing ${found.missing}, extra ${found.extra}, mismatched ${mismatched}`,
  );
  say(
    journal === tally.writes,
    `${count(journal)} lines in the service's journal, ${count(tally.writes)} acknowledged writes`,
  );
  story.say(`${told.proofs} proofs on the way; back and forth: ${told.stepsBack.join(', ')}`);

  story.step('What the users noticed');
  const cells = (kind: 'read' | 'write', what: 'p50Ms' | 'p99Ms') =>
    spans.map((span) => ms(felt(load.samples, span, kind)[what]));
  story.table([
    ['', ...spans.map(({ name }) => name)],
    [
      'requests',
      ...spans.map((span) =>
        count(felt(load.samples, span, 'read').requests + felt(load.samples, span, 'write').requests),
      ),
    ],
    ['read: median', ...cells('read', 'p50Ms')],
    ['read: p99', ...cells('read', 'p99Ms')],
    ['write: median', ...cells('write', 'p50Ms')],
    ['write: p99', ...cells('write', 'p99Ms')],
  ]);
  const latencies = Object.fromEntries(
    spans.flatMap((span) =>
      (['read', 'write'] as const).flatMap((kind) => {
        const { p50Ms, p99Ms } = felt(load.samples, span, kind);
        return [
          [`${kind}P50Ms${title(span.name)}`, round(p50Ms)],
          [`${kind}P99Ms${title(span.name)}`, round(p99Ms)],
        ];
      }),
    ),
  );
  return {
    outcome: whatFailed() ?? 'ok',
    failedRequests: tally.failed,
    missing: found.missing,
    extra: found.extra,
    mismatched,
    staleReads: tally.stale,
    durationSeconds: seconds,
    requests: tally.reads + tally.writes,
    acknowledgedWrites: tally.writes - tally.failed,
    customers: living,
    proofs: told.proofs,
    stepsBack: told.stepsBack,
    ...latencies,
  };

  function whatFailed(): string | undefined {
    if (tally.failed > 0) return `${tally.failed} requests failed: ${tally.examples[0]}`;
    if (tally.stale > 0) return `${tally.stale} stale reads: ${tally.examples[0]}`;
    if (found.missing + found.extra + mismatched > 0)
      return `missing ${found.missing}, extra ${found.extra}, mismatched ${mismatched}: ${found.examples[0] ?? tally.examples[0]}`;
    if (journal !== tally.writes) return `${journal} lines in the journal, ${tally.writes} acknowledged writes`;
    return undefined;
  }
}

function title(name: string): string {
  return name.charAt(0).toUpperCase() + name.slice(1);
}

function round(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 10) / 10 : null;
}
