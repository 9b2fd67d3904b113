/** When rounds of synchronisation are due. Pure: times are milliseconds since the epoch. */
import { parseDuration } from '../duration.ts';
import { type Cron, nextTime, parseCron } from './cron.ts';

/** As in `--sync`: `every=15m`, or `cron=` with the five fields. */
export type Schedule = { readonly every: number } | { readonly cron: string };

/** Hours of the day in which rounds may work, in minutes since midnight; the end may lie on the next day. */
export interface Hours {
  readonly from: number;
  readonly to: number;
}

const SHORTEST_SECONDS = 1;
const LONGEST_SECONDS = 86_400 * 7;
const DAY_MINUTES = 24 * 60;

/** Undefined when the text is neither. */
export function parseSchedule(text: string): Schedule | undefined {
  const [kind, value] = [text.slice(0, text.indexOf('=')), text.slice(text.indexOf('=') + 1)];
  if (kind === 'every') {
    const seconds = parseDuration(value);
    return seconds !== undefined && seconds >= SHORTEST_SECONDS && seconds <= LONGEST_SECONDS
      ? { every: seconds }
      : undefined;
  }
  return kind === 'cron' && parseCron(value) ? { cron: value } : undefined;
}

/** `22:00-06:00`; undefined when it is not that. */
export function parseHours(text: string): Hours | undefined {
  const match = /^([01]\d|2[0-3]):([0-5]\d)-([01]\d|2[0-3]|24):([0-5]\d)$/.exec(text.trim());
  if (!match) return undefined;
  const [from, to] = [Number(match[1]) * 60 + Number(match[2]), Number(match[3]) * 60 + Number(match[4])];
  return from === to || to > DAY_MINUTES ? undefined : { from, to };
}

/** When the next round is due: at once when there was none, or when its time has passed. */
export function nextRound(schedule: Schedule, lastStartMs: number | undefined, nowMs: number): number {
  if (lastStartMs === undefined) return nowMs;
  const due =
    'every' in schedule
      ? lastStartMs + schedule.every * 1000
      : (nextTime(parseCron(schedule.cron) as Cron, lastStartMs) ?? nowMs);
  // One that was missed is made up for once.
  return Math.max(nowMs, due);
}

/** Whether rounds may work now. */
export function isOpen(hours: Hours | undefined, nowMs: number): boolean {
  if (!hours) return true;
  const minute = minuteOfDay(nowMs);
  return hours.from < hours.to ? minute >= hours.from && minute < hours.to : minute >= hours.from || minute < hours.to;
}

/** The first time from now on at which rounds may work. */
export function nextOpening(hours: Hours | undefined, nowMs: number): number {
  if (!hours || isOpen(hours, nowMs)) return nowMs;
  const day = new Date(nowMs);
  const opening = new Date(day.getFullYear(), day.getMonth(), day.getDate(), 0, hours.from).getTime();
  return opening > nowMs
    ? opening
    : new Date(day.getFullYear(), day.getMonth(), day.getDate() + 1, 0, hours.from).getTime();
}

function minuteOfDay(ms: number): number {
  const time = new Date(ms);
  return time.getHours() * 60 + time.getMinutes();
}
