/** Turns samples and events into what charts draw. Pure. */
import { NEXT, type Phase } from '../../../kernel/phase.ts';
import type { ReportEvent, Sample, SampleName } from './data.ts';

export interface Point {
  readonly atMs: number;
  readonly value: number;
}
export interface Band {
  readonly fromMs: number;
  readonly toMs: number;
  readonly phase: Phase;
}
export interface Mark {
  readonly atMs: number;
  readonly kind: 'fault' | 'throttle' | 'cutover';
  readonly words: string;
}

const MOST_POINTS = 240;

/** Growth a second of a counter. A counter that fell back was restarted; that stretch counts as none. */
export function rate(samples: readonly Sample[], name: SampleName): readonly Point[] {
  const known = gauge(samples, name);
  const step = Math.max(1, Math.ceil(known.length / MOST_POINTS));
  const points: Point[] = [];
  for (let index = step; index < known.length; index += step) {
    const before = known[index - step];
    const after = known[index];
    if (!before || !after || after.atMs <= before.atMs) continue;
    const seconds = (after.atMs - before.atMs) / 1000;
    points.push({ atMs: after.atMs, value: Math.max(0, after.value - before.value) / seconds });
  }
  return points;
}

/** The worst of each stretch, so that a short peak stays visible however long the run was. */
export function peaks(samples: readonly Sample[], name: SampleName): readonly Point[] {
  const known = gauge(samples, name);
  const step = Math.max(1, Math.ceil(known.length / MOST_POINTS));
  const points: Point[] = [];
  for (let index = 0; index < known.length; index += step) {
    const stretch = known.slice(index, index + step);
    points.push(stretch.reduce((worst, point) => (point.value > worst.value ? point : worst)));
  }
  return points;
}

function gauge(samples: readonly Sample[], name: SampleName): readonly Point[] {
  return samples.flatMap(({ atMs, values }) => {
    const value = values[name];
    return value === undefined || !Number.isFinite(value) ? [] : [{ atMs, value }];
  });
}

/** The stretches of time the run spent in each phase. */
export function phaseBands(events: readonly ReportEvent[], startMs: number, endMs: number): readonly Band[] {
  const moves = events.flatMap((event) => {
    const phase = [event.data.phase, event.data.to].find(isPhase);
    return phase === undefined ? [] : [{ atMs: event.atMs, phase }];
  });
  const bands: Band[] = [];
  moves.forEach(({ atMs, phase }, index) => {
    const last = bands[bands.length - 1];
    const fromMs = Math.max(startMs, atMs);
    const toMs = Math.min(endMs, moves[index + 1]?.atMs ?? endMs);
    if (last?.phase === phase) bands[bands.length - 1] = { ...last, toMs };
    else if (toMs >= fromMs) bands.push({ fromMs, toMs, phase });
  });
  return bands;
}

function isPhase(value: unknown): value is Phase {
  return typeof value === 'string' && Object.hasOwn(NEXT, value);
}

const MARKS: readonly (readonly [Mark['kind'], RegExp])[] = [
  ['fault', /^fault/],
  ['throttle', /^throttle/],
  ['cutover', /^(fence|switch|cutover|rollback)/],
];

export function marks(events: readonly ReportEvent[]): readonly Mark[] {
  return events.flatMap((event) => {
    const found = MARKS.find(([, kind]) => kind.test(event.kind));
    if (!found) return [];
    const reason = [event.data.code, event.data.reason, event.data.message].filter((part) => typeof part === 'string');
    return [{ atMs: event.atMs, kind: found[0], words: [event.kind, ...reason].join(': ') }];
  });
}
