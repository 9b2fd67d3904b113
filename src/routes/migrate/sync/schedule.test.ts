import { describe, expect, test } from 'vitest';
import { type Cron, nextTime, parseCron } from './cron.ts';
import { isOpen, nextOpening, nextRound, parseHours, parseSchedule } from './schedule.ts';

const at = (text: string): number => new Date(text).getTime();
const shown = (ms: number | undefined): string => {
  const time = new Date(ms ?? Number.NaN);
  const two = (value: number) => String(value).padStart(2, '0');
  return `${time.getFullYear()}-${two(time.getMonth() + 1)}-${two(time.getDate())} ${two(time.getHours())}:${two(time.getMinutes())}`;
};
const nextOf = (line: string, time: string): string => shown(nextTime(parseCron(line) as Cron, at(time)));

describe('a cron line', () => {
  test.each([
    ['*/15 * * * *', '2026-03-10T12:07:30', '2026-03-10 12:15'],
    ['*/15 * * * *', '2026-03-10T12:15:00', '2026-03-10 12:30'],
    ['0 3 * * *', '2026-03-10T03:00:00', '2026-03-11 03:00'],
    ['30 22-23,1 * * *', '2026-03-10T23:45:00', '2026-03-11 01:30'],
    ['0 0 1 * *', '2026-12-02T00:00:00', '2027-01-01 00:00'],
    ['0 6 * * mon-fri', '2026-03-13T07:00:00', '2026-03-16 06:00'],
    ['0 6 * * 7', '2026-03-13T07:00:00', '2026-03-15 06:00'],
    ['5 4 29 feb *', '2026-03-01T00:00:00', '2028-02-29 04:05'],
    // Either day, when both are given.
    ['0 0 13 * fri', '2026-03-01T00:00:00', '2026-03-06 00:00'],
    ['0 0 13 * fri', '2026-03-06T00:00:00', '2026-03-13 00:00'],
    ['10/20 5 * * *', '2026-03-10T05:11:00', '2026-03-10 05:30'],
  ])('%s after %s is at %s', (line, time, expected) => {
    expect(nextOf(line, time)).toBe(expected);
  });

  test.each([
    '',
    '* * * *',
    '60 * * * *',
    '* 24 * * *',
    '* * 0 * *',
    '* * * 13 *',
    '* * * * 8',
    '5-1 * * * *',
    '*/0 * * * *',
    'a * * * *',
    '0 0 31 feb *',
    '*-5 * * * *',
    '1.5 * * * *',
  ])('%j is refused', (line) => {
    expect(parseCron(line)).toBeUndefined();
  });
});

describe('rounds', () => {
  test('are due at an interval since the last one began, at once when it has passed', () => {
    const schedule = parseSchedule('every=15m');
    expect(schedule).toEqual({ every: 900 });
    if (!schedule) return;
    expect(nextRound(schedule, undefined, 1_000_000)).toBe(1_000_000);
    expect(nextRound(schedule, 1_000_000, 1_060_000)).toBe(1_900_000);
    expect(nextRound(schedule, 1_000_000, 9_000_000)).toBe(9_000_000);
  });

  test('by cron are made up for once', () => {
    const schedule = parseSchedule('cron=0 * * * *') ?? { every: 0 };
    expect(shown(nextRound(schedule, undefined, at('2026-03-10T12:10:00')))).toBe('2026-03-10 12:10');
    expect(shown(nextRound(schedule, at('2026-03-10T09:00:00'), at('2026-03-10T12:10:00')))).toBe('2026-03-10 12:10');
    expect(shown(nextRound(schedule, at('2026-03-10T12:10:00'), at('2026-03-10T12:10:30')))).toBe('2026-03-10 13:00');
  });

  test.each(['', 'every', 'every=', 'every=0s', 'every=8000h', 'cron=* *', 'daily'])('%j is no schedule', (text) => {
    expect(parseSchedule(text)).toBeUndefined();
  });

  test('work in their hours only, also over midnight', () => {
    const night = parseHours('22:00-06:00');
    expect(night).toEqual({ from: 1320, to: 360 });
    for (const [time, open] of [
      ['21:59', false],
      ['22:00', true],
      ['00:30', true],
      ['05:59', true],
      ['06:00', false],
    ] as const)
      expect(isOpen(night, at(`2026-03-10T${time}:00`)), time).toBe(open);
    expect(shown(nextOpening(night, at('2026-03-10T12:00:00')))).toBe('2026-03-10 22:00');
    const day = parseHours('08:00-24:00');
    expect(isOpen(day, at('2026-03-10T23:59:00'))).toBe(true);
    expect(shown(nextOpening(day, at('2026-03-10T23:59:00')))).toBe('2026-03-10 23:59');
    expect(shown(nextOpening(parseHours('08:00-09:00'), at('2026-03-10T09:00:00')))).toBe('2026-03-11 08:00');
    expect(isOpen(undefined, 0)).toBe(true);
    for (const text of ['', '8:00-9:00', '10:00-10:00', '10:00-24:30', '25:00-01:00', '10-12'])
      expect(parseHours(text), text).toBeUndefined();
  });
});
