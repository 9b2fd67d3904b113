/** What came of it: the table for people, the object for programs, the last line for both. */
import {
  type Acknowledged,
  lastByteMs,
  latencyOf,
  longestStall,
  type readBooksLog,
  type readReport,
  type Span,
  timeOf,
} from './figures.ts';
import { count, ms, type Story } from './print.ts';
import type { Verdict } from './proof.ts';

export interface Facts {
  readonly writes: readonly Acknowledged[];
  readonly verdict: Verdict;
  readonly repeated: number;
  readonly givenUp: number;
  /** The shop works on the new cluster. */
  readonly moved: boolean;
  /** Both businesses at work, nobody moving. */
  readonly quiet: Span;
  readonly books: ReturnType<typeof readBooksLog>;
  readonly report: ReturnType<typeof readReport>;
  readonly reportPath: string;
}

export interface Outcome {
  readonly object: { readonly outcome: string; readonly [figure: string]: unknown };
  readonly line: string;
}

/** Shown around the cutover's own seconds, so that the neighbour has enough writes to judge by. */
const CUTOVER_MARGIN_MS = 1000;

export function conclude(story: Story, facts: Facts, durationSeconds: number): Outcome {
  const { verdict, report, books } = facts;
  const copy: Span = { fromMs: timeOf(report, 'copy-planned'), toMs: timeOf(report, 'copy-done') };
  const fenced: Span = { fromMs: timeOf(report, 'cutover-began'), toMs: timeOf(report, 'switched') };
  const before = latencyOf(books, facts.quiet);
  const during = latencyOf(books, copy);
  const cutover = latencyOf(books, {
    fromMs: fenced.fromMs - CUTOVER_MARGIN_MS,
    toMs: fenced.toMs + CUTOVER_MARGIN_MS,
  });
  const whole = latencyOf(books, { fromMs: 0, toMs: Number.POSITIVE_INFINITY });
  const copySeconds = (lastByteMs(report) - copy.fromMs) / 1000;
  const copyMBps = report.status.copy.bytes / 1e6 / copySeconds;
  const { stallMs } = longestStall(facts.writes);
  const equal = report.proof !== null && report.proof.drift === 0 && verdict.broken.length === 0;

  story.step('In figures');
  story.table([
    ['', 'before', 'while copying', 'at the cutover'],
    ['books: writes/s', ...[before, during, cutover].map(({ perSecond }) => count(perSecond))],
    ['books: median', ...[before, during, cutover].map(({ p50Ms }) => ms(p50Ms))],
    ['books: p99', ...[before, during, cutover].map(({ p99Ms }) => ms(p99Ms))],
    ['books: refused', ...[before, during, cutover].map(({ refused }) => String(refused))],
  ]);
  story.say('');
  story.table([
    ['the shop', ''],
    ['acknowledged writes', count(facts.writes.length)],
    ['lost, doubled', `${verdict.lost}, ${verdict.doubled}`],
    ['longest time without one', ms(stallMs)],
    ["refused, by Godwit's clock", ms(report.status.cutover.stallMs ?? Number.NaN)],
    ['copied', `${count(report.status.copy.bytes / 1e6)} MB at ${copyMBps.toFixed(1)} MB/s`],
    ['everything took', `${durationSeconds.toFixed(0)} s`],
  ]);
  story.say('');
  story.say(`report: ${facts.reportPath}`);

  const wrong = whatFailed(facts, equal, whole.refused);
  const object = {
    outcome: wrong ?? 'ok',
    lostWrites: verdict.lost,
    doubledWrites: verdict.doubled,
    equal,
    stallMs,
    fencedMs: report.status.cutover.stallMs,
    fence: report.status.cutover.fence,
    copyMBps: round(copyMBps),
    copySeconds: round(copySeconds),
    durationSeconds: round(durationSeconds),
    acknowledgedWrites: facts.writes.length,
    repeatedAttempts: facts.repeated,
    refusedForGood: facts.givenUp,
    booksWrites: whole.writes,
    booksRefused: whole.refused,
    booksP50BeforeMs: round(before.p50Ms),
    booksP50DuringMs: round(during.p50Ms),
    booksP99BeforeMs: round(before.p99Ms),
    booksP99DuringMs: round(during.p99Ms),
    booksP99CutoverMs: round(cutover.p99Ms),
    report: facts.reportPath,
  };
  const line = wrong
    ? `FAILED: ${wrong}`
    : `OK: the shop moved in ${durationSeconds.toFixed(0)} s, ${count(facts.writes.length)} acknowledged writes, 0 lost, 0 doubled, longest stall ${ms(stallMs)}; books was never refused`;
  return { object, line };
}

export function failed(error: unknown, durationSeconds: number): Outcome {
  const reason = error instanceof Error ? error.message : String(error);
  return {
    object: {
      outcome: reason,
      lostWrites: null,
      doubledWrites: null,
      equal: false,
      stallMs: null,
      copyMBps: null,
      durationSeconds: round(durationSeconds),
      report: null,
    },
    line: `FAILED: ${reason}`,
  };
}

function whatFailed(facts: Facts, equal: boolean, refused: number): string | undefined {
  const { verdict, givenUp, moved, report } = facts;
  if (verdict.lost > 0) return `${verdict.lost} acknowledged writes are lost`;
  if (verdict.doubled > 0) return `${verdict.doubled} acknowledged writes are there more than once`;
  if (verdict.unannounced > 0) return `${verdict.unannounced} writes are there that nobody acknowledged`;
  if (givenUp > 0) return `${givenUp} writes of the shop were refused for good`;
  if (refused > 0) return `${refused} writes of books were refused`;
  if (!moved) return 'the shop does not write to the new cluster';
  if (verdict.broken.length > 0) return verdict.broken.join('; ');
  if (!equal) return 'Godwit did not prove both sides equal';
  if (report.status.cutover.fence !== 'roles') return `the fence was ${report.status.cutover.fence}, not roles`;
  return undefined;
}

function round(value: number): number | null {
  return Number.isFinite(value) ? Math.round(value * 10) / 10 : null;
}
