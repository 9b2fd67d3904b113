/**
 * The five fields of a cron line (minute, hour, day of month, month, day of
 * week) in local time, as `crontab(5)` has them: `*`, lists, ranges, steps, and
 * three-letter names. When both days are restricted, either may match.
 */
export interface Cron {
  readonly minutes: ReadonlySet<number>;
  readonly hours: ReadonlySet<number>;
  readonly days: ReadonlySet<number>;
  readonly months: ReadonlySet<number>;
  readonly weekdays: ReadonlySet<number>;
  /** Whether both of days and weekdays were restricted. */
  readonly eitherDay: boolean;
}

const MONTHS = ['jan', 'feb', 'mar', 'apr', 'may', 'jun', 'jul', 'aug', 'sep', 'oct', 'nov', 'dec'];
const WEEKDAYS = ['sun', 'mon', 'tue', 'wed', 'thu', 'fri', 'sat'];
/** The longest a line may have to wait: for the 29th of February. */
const MOST_DAYS = 8 * 366;

/** Undefined when the line is not valid, or names no day that exists. */
export function parseCron(line: string): Cron | undefined {
  const fields = line.trim().toLowerCase().split(/\s+/);
  if (fields.length !== 5) return undefined;
  const [minute, hour, day, month, weekday] = fields as [string, string, string, string, string];
  const minutes = parseField(minute, 0, 59);
  const hours = parseField(hour, 0, 23);
  const days = parseField(day, 1, 31);
  const months = parseField(month, 1, 12, MONTHS, 1);
  const weekdays = parseField(weekday, 0, 7, WEEKDAYS, 0);
  if (!minutes || !hours || !days || !months || !weekdays) return undefined;
  if (weekdays.delete(7)) weekdays.add(0);
  const eitherDay = !day.startsWith('*') && !weekday.startsWith('*');
  const cron = { minutes, hours, days, months, weekdays, eitherDay };
  return nextTime(cron, 0) === undefined ? undefined : cron;
}

function parseField(
  text: string,
  least: number,
  most: number,
  names: readonly string[] = [],
  base = 0,
): Set<number> | undefined {
  const values = new Set<number>();
  const number = (part: string): number => {
    const named = names.indexOf(part);
    return named >= 0 ? named + base : /^\d{1,2}$/.test(part) ? Number(part) : Number.NaN;
  };
  for (const part of text.split(',')) {
    const match = /^(\*|\w+)(?:-(\w+))?(?:\/(\d{1,2}))?$/.exec(part);
    if (!match) return undefined;
    const [, begin = '', end, step] = match;
    const from = begin === '*' ? least : number(begin);
    const to = begin === '*' ? most : end !== undefined ? number(end) : step !== undefined ? most : from;
    const by = step === undefined ? 1 : Number(step);
    if (!(from >= least && to <= most && from <= to && by >= 1) || (begin === '*' && end !== undefined))
      return undefined;
    for (let value = from; value <= to; value += by) values.add(value);
  }
  return values;
}

/** The first minute after a time (ms since the epoch) that matches; undefined when none ever does. */
export function nextTime(cron: Cron, afterMs: number): number | undefined {
  const from = new Date(afterMs);
  const day = new Date(from.getFullYear(), from.getMonth(), from.getDate());
  for (let n = 0; n < MOST_DAYS; n += 1, day.setDate(day.getDate() + 1)) {
    if (!matchesDay(cron, day)) continue;
    for (const hour of sorted(cron.hours)) {
      for (const minute of sorted(cron.minutes)) {
        // An hour that the clocks pass over is the one after it.
        const time = new Date(day.getFullYear(), day.getMonth(), day.getDate(), hour, minute).getTime();
        if (time > afterMs) return time;
      }
    }
  }
  return undefined;
}

function matchesDay({ days, weekdays, months, eitherDay }: Cron, day: Date): boolean {
  if (!months.has(day.getMonth() + 1)) return false;
  const [ofMonth, ofWeek] = [days.has(day.getDate()), weekdays.has(day.getDay())];
  return eitherDay ? ofMonth || ofWeek : ofMonth && ofWeek;
}

function sorted(values: ReadonlySet<number>): number[] {
  return [...values].sort((a, b) => a - b);
}
