/** Figures from what the two applications wrote down and from the run's report. */
import { readFileSync } from 'node:fs';

export interface Acknowledged {
  readonly atMs: number;
  /** The replica set that acknowledged it. */
  readonly set: string;
  readonly kind: string;
  readonly op: string;
  readonly numbers: readonly number[];
}

/** The shop's acknowledged writes, in the order of their answers. */
export function readShopLog(path: string): Acknowledged[] {
  return linesOf(path).map((line) => {
    const [atMs, set = '', kind = '', op = '', ...numbers] = line.split(' ');
    return { atMs: Number(atMs), set, kind, op, numbers: numbers.map(Number) };
  });
}

/** The longest time in which nobody in the shop had a write acknowledged. */
export function longestStall(writes: readonly Acknowledged[]): { stallMs: number; atMs: number } {
  let longest = { stallMs: 0, atMs: 0 };
  for (let index = 1; index < writes.length; index += 1) {
    const before = (writes[index - 1] as Acknowledged).atMs;
    const stallMs = (writes[index] as Acknowledged).atMs - before;
    if (stallMs > longest.stallMs) longest = { stallMs, atMs: before };
  }
  return longest;
}

export interface Span {
  readonly fromMs: number;
  readonly toMs: number;
}

export interface Latency {
  readonly writes: number;
  readonly perSecond: number;
  readonly p50Ms: number;
  readonly p99Ms: number;
  readonly maxMs: number;
  readonly refused: number;
}

interface BooksWrite {
  readonly atMs: number;
  readonly tookMs: number;
  readonly ok: boolean;
}

export function readBooksLog(path: string): BooksWrite[] {
  return linesOf(path).map((line) => {
    const [atMs, tookMs, outcome] = line.split(' ');
    return { atMs: Number(atMs), tookMs: Number(tookMs), ok: outcome === 'ok' };
  });
}

/** What the neighbour felt between two moments. */
export function latencyOf(writes: readonly BooksWrite[], { fromMs, toMs }: Span): Latency {
  const within = writes.filter(({ atMs, tookMs }) => atMs >= fromMs && atMs - tookMs <= toMs);
  const sorted = within.map(({ tookMs }) => tookMs).sort((a, b) => a - b);
  const at = (share: number): number =>
    sorted[Math.min(sorted.length - 1, Math.floor(sorted.length * share))] ?? Number.NaN;
  return {
    writes: within.length,
    perSecond: within.length / Math.max(0.001, (toMs - fromMs) / 1000),
    p50Ms: at(0.5),
    p99Ms: at(0.99),
    maxMs: sorted.at(-1) ?? Number.NaN,
    refused: within.filter(({ ok }) => !ok).length,
  };
}

/** The parts of report.json that the demo needs. */
interface Report {
  readonly status: {
    readonly phase: string;
    readonly copy: { readonly bytes: number; readonly docs: number };
    readonly cutover: { readonly fence: string | null; readonly stallMs: number | null };
  };
  readonly events: readonly { readonly atMs: number; readonly kind: string; readonly data: Record<string, unknown> }[];
  readonly samples: readonly { readonly atMs: number; readonly values: { readonly copyBytes?: number } }[];
  readonly proof: { readonly drift: number; readonly docs: number } | null;
}

export function readReport(path: string): Report {
  return JSON.parse(readFileSync(path, 'utf8')) as Report;
}

/** When an event of this kind happened first. */
export function timeOf(report: Report, kind: string): number {
  const event = report.events.find((candidate) => candidate.kind === kind);
  if (!event) throw new Error(`the report tells of no event "${kind}"`);
  return event.atMs;
}

/** When the copy had moved its last byte; building the indexes is no part of its speed. */
export function lastByteMs({ samples, status }: Report): number {
  const done = samples.find(({ values }) => (values.copyBytes ?? 0) >= status.copy.bytes);
  if (!done) throw new Error('the report does not tell when the copy ended');
  return done.atMs;
}

function linesOf(path: string): string[] {
  return readFileSync(path, 'utf8')
    .split('\n')
    .filter((line) => line !== '');
}
